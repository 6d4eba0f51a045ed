%% @doc The native half of the benchmark: recorders, the open loop's dispatch, the report file.
%%
%% Wrong terms raise `badarg'. Times are integers in nanoseconds of one monotonic clock, read inside
%% the library; they compare with each other only, not with `erlang:monotonic_time/0'.
%%
%% This module holds nothing but the stubs, so that it never needs to be loaded twice. Where it is
%% all the same (deleted, purged, loaded), what was made before is refused with `badarg', threads of before
%% end with their owners, and a few hundred bytes stay behind each time. Beside an instance that is not
%% purged it is not loaded.
%% @private
-module(router_bench_nif).

-export([library/0, empty/0, now/0, start/0, stop/2, record/2, poll/1, ready/2, answered/4]).
-export([recorder_new/1, recorder_snapshot/1, recorder_slice/1, recorder_window/1,
         recorder_take/1, recorder_add/2]).
-export([dispatch_new/4, dispatch_in_windows/5, dispatch_begin/3, dispatch_end/1, dispatch_counts/1,
         dispatch_windows/1]).
-export([hiccup_start/1, hiccup_stop/1, kernels/0, machine/0, resident_bytes/0]).
-export([counters_new/0, counters_resume/1, counters_pause/1, counters_figures/1]).
-export([report_summary/1, report_encode/1, report_write/2, request_decode/1, event_encode/1,
         os_now/0, info/0]).

-export_type([recorder/0, dispatch/0, waker/0, hiccup/0, counters/0, ns/0, snapshot/0, figures/0,
              summary/0]).

-on_load(load/0).
-nifs([empty/0, now/0, start/0, stop/2, record/2, poll/1, ready/2, answered/4,
       recorder_new/1, recorder_snapshot/1, recorder_slice/1, recorder_window/1,
       recorder_take/1, recorder_add/2,
       dispatch_new/4, dispatch_in_windows/5, dispatch_begin/3, dispatch_end/1, dispatch_counts/1,
       dispatch_windows/1, hiccup_start/1, hiccup_stop/1, kernels/0, machine/0, resident_bytes/0,
       counters_new/0, counters_resume/1, counters_pause/1, counters_figures/1,
       report_summary/1, report_encode/1, report_write/2,
       request_decode/1, event_encode/1, os_now/0, info/0, keep_types/0]).

%% Dialyzer knows that `nif_error' stands for any value; behind a function it would not.
-define(NOT_LOADED, erlang:nif_error({not_loaded, [{module, ?MODULE}]})).

-opaque recorder() :: reference().
-opaque dispatch() :: reference().
-opaque waker() :: reference().
-opaque hiccup() :: reference().
-opaque counters() :: reference().
-type ns() :: non_neg_integer().
%% `encoded' is the histogram in HdrHistogram's V2 format, compressed, in base64.
-type snapshot() :: #{encoded := binary(), count := non_neg_integer(), atom() => non_neg_integer()}.
%% `count', `clamped', `time_went_backwards'; and when `count' is not 0, `min_ns', `mean_ns', `max_ns',
%% `p50_ns', `p90_ns', `p95_ns', `p99_ns' and `p999_ns'.
-type figures() :: #{count := non_neg_integer(), atom() => non_neg_integer()}.
%% As `cp1_format' has it; `driver_errors' are errors and timeouts.
-type summary() :: #{blocks := [#{metrics := #{atom() => number()},
                                  driver_errors := non_neg_integer()}],
                     metrics := #{atom() => number()}, accounting := #{atom() => map()},
                     spread_pct := #{atom() => number()}, status := binary(), reason => binary()}.

%% @doc Does nothing, at the cost of any NIF call: what other calls are compared with.
-spec empty() -> 0.
empty() -> ?NOT_LOADED.

%% @doc Reads the clock.
-spec now() -> ns().
now() -> ?NOT_LOADED.

%% @doc Reads the clock at the start of what is timed.
-spec start() -> ns().
start() -> ?NOT_LOADED.

%% @doc Records the time since `StartNs' and gives it; 0 if the clock went backwards, which is
%% counted instead.
-spec stop(recorder(), StartNs :: ns()) -> ns().
stop(_Recorder, _StartNs) -> ?NOT_LOADED.

%% @doc Records a time and gives it back. Beyond 60 s it is recorded as 60 s and counted as clamped.
-spec record(recorder(), ns()) -> ns().
record(_Recorder, _Ns) -> ?NOT_LOADED.

%% @doc What an open loop's dispatcher is to do now: `0' and above, tell the worker with this number
%% that it has an arrival; -1, yield and ask again; -2, ask again; -3, receive `wake' and ask again;
%% -4, start the worker with the next number; -5, wait until all have answered; -6, nothing more.
-spec poll(dispatch()) -> -6..99999.
poll(_Dispatch) -> ?NOT_LOADED.

%% @doc Says that a worker (from 0) has come; 1 if an arrival is its own already.
-spec ready(dispatch(), Worker :: non_neg_integer()) -> 0..1.
ready(_Dispatch, _Worker) -> ?NOT_LOADED.

%% @doc Says how a worker's request ended that it began at `StartNs': 0 success, 1 error, 2 timeout, 3
%% rejected. Records it from its intended and from its actual start. 1 if another arrival is the
%% worker's own already.
-spec answered(dispatch(), Worker :: non_neg_integer(), StartNs :: ns(), 0..3) -> 0..1.
answered(_Dispatch, _Worker, _StartNs, _Outcome) -> ?NOT_LOADED.

%% @doc A recorder with a shard of 216 KiB for each of that many threads (0 to 1024) and one that
%% all others share. There is no reset: make a new one. It goes with its last reference.
-spec recorder_new(Threads :: 0..1024) -> recorder().
recorder_new(_Threads) -> ?NOT_LOADED.

%% @doc What was recorded so far.
-spec recorder_snapshot(recorder()) -> snapshot().
recorder_snapshot(_Recorder) -> ?NOT_LOADED.

%% @doc The same of what was recorded since the last call, without `encoded'; minimum and maximum to 3
%% significant digits.
-spec recorder_slice(recorder()) -> figures().
recorder_slice(_Recorder) -> ?NOT_LOADED.

%% @doc What was recorded since the last call, with `encoded'; slices go on beside it. Minimum and maximum
%% to 3 significant digits.
-spec recorder_window(recorder()) -> snapshot().
recorder_window(_Recorder) -> ?NOT_LOADED.

%% @doc What was recorded since the last call of this or of {@link recorder_window/1}, for
%% {@link recorder_add/2}, also in another node: the counts of all counters that are not 0.
-spec recorder_take(recorder()) -> binary().
recorder_take(_Recorder) -> ?NOT_LOADED.

%% @doc Records what was taken from other recorders; nothing if one of the binaries is damaged. Whatever is
%% added up so has exact counts, minimum, maximum and mean.
-spec recorder_add(recorder(), Taken :: [binary()]) -> ok.
recorder_add(_Recorder, _Taken) -> ?NOT_LOADED.

%% @doc An open loop for at most that many workers, who are the most requests in flight too.
-spec dispatch_new(WorkersMax :: 1..100000, ResponseTime :: recorder(), ServiceTime :: recorder(),
                   DispatchLag :: recorder()) -> dispatch().
dispatch_new(_WorkersMax, _ResponseTime, _ServiceTime, _DispatchLag) -> ?NOT_LOADED.

%% @doc The same, whose one run is seen in so many windows of a length too, of 216 KiB each.
-spec dispatch_in_windows(WorkersMax :: 1..100000, ResponseTime :: recorder(), ServiceTime :: recorder(),
                          DispatchLag :: recorder(), {WindowNs :: pos_integer(), Count :: 1..1000}) ->
          dispatch().
dispatch_in_windows(_WorkersMax, _ResponseTime, _ServiceTime, _DispatchLag, _Windows) -> ?NOT_LOADED.

%% @doc Begins a run: so many arrivals of a share of those at `Rate' a second (1 to 1,000,000) from `StartNs'
%% on: number `Share' (from 0), and every `Of'-th after it. The
%% caller is the dispatcher: it asks {@link poll/1}, and a thread sends it `wake' a little ahead of an
%% arrival for which it sleeps. The thread ends with its caller, with its last reference, and with its
%% last arrival.
-spec dispatch_begin(dispatch(), {constant | poisson, Seed :: non_neg_integer(), StartNs :: ns(),
                                  Rate :: pos_integer(),
                                  {Share :: non_neg_integer(), Of :: pos_integer()}}, Arrivals :: 0..16#FFFFFFFF) -> waker().
dispatch_begin(_Dispatch, _Schedule, _Arrivals) -> ?NOT_LOADED.

%% @doc Ends the thread of a run. Who does not hold the waker until then loses it to the garbage
%% collector, and with it the wake-ups.
-spec dispatch_end(waker()) -> ok.
dispatch_end(_Waker) -> ?NOT_LOADED.

%% @doc What became of the arrivals of the run so far; exact once {@link poll/1} says that there is
%% nothing more. Successes are what the recorders count.
-spec dispatch_counts(dispatch()) ->
          #{offered := non_neg_integer(), skipped := non_neg_integer(), error := non_neg_integer(),
            timeout := non_neg_integer(), rejected := non_neg_integer(),
            in_flight := non_neg_integer()}.
dispatch_counts(_Dispatch) -> ?NOT_LOADED.

%% @doc The windows of the run so far, in order, by the intended start of their arrivals: how many were due,
%% how many were answered with success, and the 95th percentile of these, if there are any; empty where
%% none were asked for.
-spec dispatch_windows(dispatch()) ->
          [#{offered := non_neg_integer(), ok := non_neg_integer(), p95_ns => ns()}].
dispatch_windows(_Dispatch) -> ?NOT_LOADED.

%% @doc Starts a thread that sleeps in steps of 1 ms and records how late it wakes. It ends with its
%% caller, with its last reference, and when it is stopped.
-spec hiccup_start(recorder()) -> hiccup().
hiccup_start(_Recorder) -> ?NOT_LOADED.

%% @doc Ends the thread and waits for its end: nothing more is recorded. May be called again.
-spec hiccup_stop(hiccup()) -> ok.
hiccup_stop(_Hiccup) -> ?NOT_LOADED.

%% @doc Wall times of two pieces of fixed work, one in registers, one through 64 MiB of memory. Takes
%% some 0.1 s of a dirty scheduler.
-spec kernels() -> #{cpu_ns := ns(), memory_ns := ns()}.
kernels() -> ?NOT_LOADED.

%% @doc Which machine this is, and the smallest limits on the path of its control group. What cannot
%% be read is not there; `cpu_quota' is in processors.
-spec machine() -> #{cpu_model => binary(), cpu_quota => none | binary(), kernel => binary(),
                     memory_total_mb => non_neg_integer(),
                     container_limits => #{cpu_max => binary(),
                                           memory_max_bytes => non_neg_integer()}}.
machine() -> ?NOT_LOADED.

%% @doc Resident memory of this operating system process.
-spec resident_bytes() -> non_neg_integer() | absent.
resident_bytes() -> ?NOT_LOADED.

%% @doc The kernel's counters, of which nothing was read yet.
-spec counters_new() -> counters().
counters_new() -> ?NOT_LOADED.

%% @doc Reads them where a stretch begins.
-spec counters_resume(counters()) -> ok.
counters_resume(_Counters) -> ?NOT_LOADED.

%% @doc Reads them where it ends; without a beginning it says nothing.
-spec counters_pause(counters()) -> ok.
counters_pause(_Counters) -> ?NOT_LOADED.

%% @doc What they grew by over all stretches that ended, as the report has it. A counter that cannot
%% be read, or went back, is not there.
-spec counters_figures(counters()) ->
          #{steal_pct => float(), other_cpu_pct => float(),
            throttled_periods => non_neg_integer(), throttled_us => non_neg_integer(),
            cpu_pressure_some_us => non_neg_integer(),
            voluntary_context_switches => non_neg_integer(),
            involuntary_context_switches => non_neg_integer(),
            frequency_before_khz => non_neg_integer(), frequency_after_khz => non_neg_integer()}.
counters_figures(_Counters) -> ?NOT_LOADED.

%% @doc A report as JSON, after the checks that the gate makes when it reads one.
-spec report_encode(map()) -> {ok, Json :: binary()} | {error, Message :: binary()}.
report_encode(_Report) -> ?NOT_LOADED.

%% @doc What follows from blocks as measured: each block's figures, the headline, the sums, the spread,
%% and whether the blocks can show what is gated, by the functions that the gate checks a report with.
-spec report_summary([map()]) -> {ok, summary()} | {error, Message :: binary()}.
report_summary(_Blocks) -> ?NOT_LOADED.

%% @doc Encodes a report and writes it under a temporary name, then renames it.
-spec report_write(Path :: binary(), map()) -> ok | {error, binary()}.
report_write(_Path, _Report) -> ?NOT_LOADED.

%% @doc What the gate asks of the bench, after the checks of the format: keys and strings are binaries.
-spec request_decode(Json :: binary()) -> {ok, binary() | map()} | {error, Message :: binary()}.
request_decode(_Json) -> ?NOT_LOADED.

%% @doc What the bench answers, as JSON.
-spec event_encode(atom() | map()) -> {ok, Json :: binary()} | {error, Message :: binary()}.
event_encode(_Event) -> ?NOT_LOADED.

%% @doc Reads the operating system's monotonic clock, to compare `now/0' with.
-spec os_now() -> ns().
os_now() -> ?NOT_LOADED.

%% @doc Version and profile of the library; source, resolution and cost of its clock.
-spec info() -> #{version := binary(), profile := binary(), source := binary(),
                  resolution_ns := float(), read_cost_ns := float()}.
info() -> ?NOT_LOADED.

%% @doc Where the library is, without its extension.
-spec library() -> file:filename().
library() ->
    case application:get_env(router_bench, native_library) of
        {ok, Library} -> Library; % of a node that this module was sent to
        undefined -> filename:join(priv_dir(), "librouter_bench_nif")
    end.

priv_dir() ->
    case code:priv_dir(router_bench) of
        {error, bad_name} ->
            filename:join(filename:dirname(filename:dirname(code:which(?MODULE))), "priv");
        Dir ->
            Dir
    end.

-spec load() -> ok | {error, {atom(), string()}}.
load() ->
    case erlang:load_nif(library(), 0) of
        ok -> types_kept();
        {error, Reason} -> {error, Reason}
    end.

%% The emulator puts the library's functions in the place of the stubs a moment after it has said `ok'.
types_kept() ->
    try keep_types()
    catch error:{not_loaded, _} ->
            erlang:yield(),
            types_kept()
    end.

%% Whoever is killed in a dirty call may still make a value when this module is gone: its type must not be.
-spec keep_types() -> ok.
keep_types() -> ?NOT_LOADED.
