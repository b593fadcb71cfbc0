# weft-bench, the micro benchmarks. bench/CMakeLists.txt includes this.
wf_program(weft-bench
    FOLDER  bench
    SOURCES weft_bench.c micro.c micro_chan.c micro_engine.c micro_scope.c micro_select.c micro_sync.c micro_task.c
            micro_time.c micro_tree.c micro_wake.c
    LIBS    PkgConfig::CJSON)
