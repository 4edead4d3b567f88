/* default_model.h - the default model and charts for it; each PNG is named by a word in it. */
#ifndef TESTS_FUSION_DEFAULT_MODEL_H
#define TESTS_FUSION_DEFAULT_MODEL_H

#define MODEL VLQA_SOURCE_DIR "/assets/default-model"
#define VOCAB 4096
#define CHART(name) VLQA_SOURCE_DIR "/tests/charts/" name ".png" /* february: 7 x 10 tokens */
#define CHART_HALO                                                                \
    2 /* 4 cells are half of such a chart: hardly a token would be left to repair \
       */

#endif
