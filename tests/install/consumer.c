/* consumer.c - a program of somebody else: the installed header, the installed library. */
#include <stdio.h>
#include <vlqa.h>

int main(int argc, char **argv)
{
    struct vlqa_engine_options options = vlqa_engine_options_default();
    struct vlqa_engine *engine = NULL;
    vlqa_status status;
    char path[4096];

    if (vlqa_default_model_path(path, sizeof path) != VLQA_OK) printf("no model at %s\n", path);
    options.model = argc > 1 ? argv[1] : path;
    options.threads = 1;
    status = vlqa_engine_open(&options, &engine);
    printf("%s %s: %s\n", vlqa_version(), vlqa_status_name(status), vlqa_engine_message(engine));
    vlqa_engine_close(engine);
    return status == VLQA_OK ? 0 : 1;
}
