// weft: a multithreaded, work-stealing async runtime for C.
// This header brings in the whole public interface; each of the headers below also
// compiles alone.
#ifndef WEFT_H
#define WEFT_H

#include <weft/blocking.h>
#include <weft/broadcast.h>
#include <weft/chan.h>
#include <weft/drain.h>
#include <weft/error.h>
#include <weft/file.h>
#include <weft/future.h>
#include <weft/io.h>
#include <weft/net.h>
#include <weft/process.h>
#include <weft/runtime.h>
#include <weft/scope.h>
#include <weft/select.h>
#include <weft/signal.h>
#include <weft/stream.h>
#include <weft/sync.h>
#include <weft/task.h>
#include <weft/test.h>
#include <weft/time.h>
#include <weft/watch.h>

#endif
