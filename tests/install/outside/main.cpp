#include <iostream>
#include <weft.h>

int main()
{
    weft_config config = WEFT_CONFIG_INIT;
    int start = 41;
    int result = weft_run(
        &config,
        [](void *arg) -> int {
            weft_task *task;
            int sum = 0;
            int err = weft_spawn(
                &task,
                [](void *number) -> int {
                    int slept = weft_sleep(WEFT_MS(1));
                    return slept < 0 ? slept : *static_cast<int *>(number) + 1;
                },
                arg);
            if (err == 0)
                err = weft_join(task, &sum);
            return err < 0 ? err : sum;
        },
        &start);

    std::cout << result << '\n';
    return result == 42 ? 0 : 1;
}
