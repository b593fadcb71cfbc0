#include <stdio.h>
#include <weft.h>

static int child(void *arg)
{
    int err = weft_sleep(WEFT_MS(1));
    return err < 0 ? err : *(int *)arg + 1;
}

static int body(void *arg)
{
    weft_task *task;
    int result;
    int err = weft_spawn(&task, child, arg);

    if (err == 0)
        err = weft_join(task, &result);
    return err < 0 ? err : result;
}

int main(void)
{
    weft_config config = WEFT_CONFIG_INIT;
    int start = 41;
    int result = weft_run(&config, body, &start);

    printf("%d\n", result);
    return result == 42 ? 0 : 1;
}
