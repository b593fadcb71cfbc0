// Two tasks that park in their handlers in turn: a program (with -DPROGRAM), or a
// plug-in for host.c. The result is 42 if each task has its own exception.
#include <exception>
#include <string>
#include <weft.h>

static int handle(void *name)
{
    try {
        throw std::string(static_cast<const char *>(name));
    } catch (const std::string &) {
        weft_yield();
        try {
            throw;
        } catch (const std::string &again) {
            return again == static_cast<const char *>(name) && std::current_exception() ? 21 : 1;
        }
    }
}

extern "C" int plugin_body(void *)
{
    static char names[2][8] = { "warp", "weft" };
    weft_task *tasks[2];
    int sum = 0, result;

    for (int i = 0; i < 2; i++)
        if (weft_spawn(&tasks[i], handle, names[i]) != 0)
            return -1;
    for (weft_task *t : tasks)
        sum += weft_join(t, &result) == 0 ? result : 0;
    return sum;
}

#ifdef PROGRAM
#include <cstdio>

int main()
{
    weft_config config = WEFT_CONFIG_INIT;
    config.workers = 1;
    int result = weft_run(&config, plugin_body, nullptr);
    printf("%d\n", result);
    return result == 42 ? 0 : 1;
}
#endif
