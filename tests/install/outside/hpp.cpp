#include <iostream>
#include <stdexcept>
#include <weft/weft.hpp>

int main()
{
    int result = weft::run([start = 40] {
        weft::task<int> one = weft::spawn([] { return 1; });
        weft::scope scope;
        scope.spawn([] { throw std::runtime_error("caught below"); });
        try {
            scope.join();
        } catch (const std::runtime_error &) {
            weft::check(weft_yield());
            return start + one.join() + 1;
        }
        return -1;
    });

    std::cout << result << '\n';
    return result == 42 ? 0 : 1;
}
