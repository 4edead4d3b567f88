/* module.h - parts of this library that are opened at run time, where the system has what they
 * need.
 */
#ifndef KERNELS_MODULE_H
#define KERNELS_MODULE_H

/* A symbol of a module: NULL, and the reason, where the module or the symbol is missing. It is
 * looked for beside the file that this code is in, in the folder of libraries next to that one's,
 * and where the loader looks. A module stays: its code may run until the process ends. global: what
 * it is linked to opens files that need its symbols. */
void *module_symbol(const char *module, const char *symbol, int global, const char **reason);

#endif
