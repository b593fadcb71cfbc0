// A program in C whose plug-in is C++: host PLUG-IN local|global
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>
#include <weft.h>

int main(int argc, char **argv)
{
    weft_config config = WEFT_CONFIG_INIT;
    void *plugin = argc > 2 ? dlopen(argv[1], RTLD_NOW | (strcmp(argv[2], "local") ? RTLD_GLOBAL : RTLD_LOCAL)) : NULL;
    weft_fn *body = plugin ? (weft_fn *)dlsym(plugin, "plugin_body") : NULL;

    if (!body)
        return 2;
    config.workers = 1;
    int result = weft_run(&config, body, NULL);
    printf("%d\n", result);
    return result == 42 ? 0 : 1;
}
