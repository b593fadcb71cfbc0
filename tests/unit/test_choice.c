// The choice of a select: one winner; and two choices are won together or not at all,
// even if other threads compete. runtime/wait/choice.c is compiled into this program so
// that each atomic operation first lets another thread run, at random.
#include <pthread.h>
#include <sched.h>

#include "base/atomic.h"
#include "base/lock.h"
#include "base/rand.h"
#include "tests/support/harness.h"
#include "tests/support/threads.h"

static _Thread_local uint64_t lots; // 0: none are drawn

static void step(void)
{
    if (lots && wf_rand_below(&lots, 4) == 0)
        sched_yield();
}

#undef wf_cas_acq_rel
#undef wf_store_release
#define wf_cas_acq_rel(p, expected, v) (step(), atomic_compare_exchange_strong((p), (expected), (v)))
#define wf_store_release(p, v) (step(), atomic_store((p), (v)))

// Names of its own, lest the library's be meant.
#define wf_choice_win model_choice_win
#define wf_choice_win_both model_choice_win_both
#include "runtime/wait/choice.c" // NOLINT: it is the point of this test

static void the_first_wins_for_good(void **state)
{
    struct wf_choice c;
    uint32_t number;
    (void)state;

    wf_choice_init(&c);
    assert_true(wf_choice_open(&c));
    assert_false(wf_choice_won(&c, &number));
    assert_true(wf_choice_win(&c, 7));
    assert_false(wf_choice_open(&c));
    assert_false(wf_choice_win(&c, 7));
    assert_false(wf_choice_win(&c, 0));
    assert_true(wf_choice_won(&c, &number));
    assert_int_equal(number, 7);
    wf_choice_init(&c);
    assert_true(wf_choice_win(&c, 0)); // the first case is a case
    assert_true(wf_choice_won(&c, &number));
    assert_int_equal(number, 0);
}

static void both_are_won_or_none(void **state)
{
    struct wf_choice a, b, c;
    uint32_t number;
    (void)state;

    wf_choice_init(&a);
    wf_choice_init(&b);
    wf_choice_init(&c);
    assert_int_equal(wf_choice_win_both(&a, 1, &b, 2), 0);
    assert_true(wf_choice_won(&a, &number));
    assert_int_equal(number, 1);
    assert_true(wf_choice_won(&b, &number));
    assert_int_equal(number, 2);
    assert_int_equal(wf_choice_win_both(&a, 3, &c, 4), WF_CHOICE_LOST);
    assert_true(wf_choice_open(&c));
    assert_int_equal(wf_choice_win_both(&c, 3, &b, 4), WF_CHOICE_GONE);
    assert_true(wf_choice_open(&c));
    assert_true(wf_choice_win(&c, 5)); // still to be had
}

// --- many ----------------------------------------------------------------------------

// A ring of players: each round, each tries to win its own choice together with the
// next player's, and two more try to win any. At the end of a round the choices must
// tell one story.
enum { PLAYERS = 3, SNATCHERS = 1, ALL = PLAYERS + SNATCHERS, LONE = 1000 };

static struct {
    struct threads threads;
    pthread_barrier_t begin, end;
    struct wf_choice choice[PLAYERS];
    int meant[PLAYERS];     // what wf_choice_win_both returned
    bool snatched[PLAYERS]; // whether wf_choice_win did
    unsigned rounds;
    _Atomic unsigned next; // A: numbers the threads
    unsigned pairs, lone;
} game;

static void play(unsigned self, unsigned round)
{
    if (self < PLAYERS) {
        unsigned other = (self + 1) % PLAYERS;
        int err = WF_CHOICE_GONE;
        for (int tries = 0; tries < 3 && err == WF_CHOICE_GONE; tries++)
            err = wf_choice_win_both(&game.choice[self], self, &game.choice[other], LONE + self);
        assert_false(wf_choice_open(&game.choice[err == WF_CHOICE_GONE ? other : self])); // permanently
        game.meant[self] = err;
    } else {
        unsigned victim = round % PLAYERS;
        game.snatched[victim] = wf_choice_win(&game.choice[victim], 2 * LONE + self);
        assert_false(wf_choice_open(&game.choice[victim]));
    }
}

// settle checks what the choices say against what the players were told.
static void settle(void)
{
    for (unsigned i = 0; i < PLAYERS; i++) {
        unsigned before = (i + PLAYERS - 1) % PLAYERS;
        uint32_t number = UINT32_MAX;
        bool won = wf_choice_won(&game.choice[i], &number);
        assert_int_equal(won, !wf_choice_open(&game.choice[i]));
        unsigned claims = (game.meant[i] == 0) + (game.meant[before] == 0) + game.snatched[i];
        assert_int_equal(claims, won);
        if (game.meant[i] == 0)
            assert_int_equal(number, i);
        if (game.meant[before] == 0)
            assert_int_equal(number, LONE + before);
        if (game.meant[i] == WF_CHOICE_LOST)
            assert_true(won);
        game.pairs += game.meant[i] == 0;
        game.lone += game.snatched[i];
        game.snatched[i] = false;
        wf_choice_init(&game.choice[i]);
    }
}

static void *player(void *arg)
{
    unsigned self = wf_fetch_add_relaxed(&game.next, 1); // relaxed: only numbers
    (void)arg;

    lots = wf_test_rand(self).state | 1;
    for (unsigned round = 0; round < game.rounds; round++) {
        pthread_barrier_wait(&game.begin);
        play(self, round);
        pthread_barrier_wait(&game.end);
        if (self == 0)
            settle();
    }
    return NULL;
}

static void selects_that_reach_for_each_other_agree(void **state)
{
    (void)state;
    game.rounds = wf_test_rounds(20000);
    for (int i = 0; i < PLAYERS; i++)
        wf_choice_init(&game.choice[i]);
    threads_init(&game.threads, ALL);
    pthread_barrier_init(&game.begin, NULL, ALL);
    pthread_barrier_init(&game.end, NULL, ALL);
    for (int i = 0; i < ALL; i++)
        threads_add(&game.threads, player, NULL);
    threads_join(&game.threads);
    pthread_barrier_destroy(&game.begin);
    pthread_barrier_destroy(&game.end);
    assert_true(game.pairs > 0 && game.lone > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_wins_for_good),
        cmocka_unit_test(both_are_won_or_none),
        cmocka_unit_test(selects_that_reach_for_each_other_agree),
    };
    return wf_test_run(tests);
}
