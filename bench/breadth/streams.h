#ifndef BENCH_BREADTH_STREAMS_H
#define BENCH_BREADTH_STREAMS_H

// streams_measure prints how much resident memory an idle connection has whose task has a
// reader and a writer, and one whose task has neither.
// Returns: 0; 1 if one of them was not measured.
// Context: a process without a runtime.
int streams_measure(unsigned workers);

#endif
