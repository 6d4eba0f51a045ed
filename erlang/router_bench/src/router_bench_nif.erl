%% @doc The native half of the benchmark: recorders, the pacing thread, the report file.
%%
%% Wrong terms raise `badarg'. Times are integers in nanoseconds of one monotonic clock, read inside
%% the library; they compare with each other only, not with `erlang:monotonic_time/0'.
%%
%% This module holds nothing but the stubs, so that it never needs to be loaded twice.
-module(router_bench_nif).

-export([empty/0, now/0, start/0, stop/2, record/2, leave/2]).
-export([recorder_new/1, recorder_snapshot/1, recorder_quantiles/2]).
-export([in_flight_new/1, in_flight_total/1]).
-export([pacer_start/6, pacer_stop/1, pacer_counts/1]).
-export([hiccup_start/0, hiccup_stop/1, kernels/0]).
-export([report_encode/1, report_write/2, os_now/0, info/0]).

-export_type([recorder/0, in_flight/0, pacer/0, hiccup/0, ns/0, snapshot/0]).

-on_load(load/0).
-nifs([empty/0, now/0, start/0, stop/2, record/2, leave/2,
       recorder_new/1, recorder_snapshot/1, recorder_quantiles/2,
       in_flight_new/1, in_flight_total/1, pacer_start/6, pacer_stop/1, pacer_counts/1,
       hiccup_start/0, hiccup_stop/1, kernels/0, report_encode/1, report_write/2, os_now/0, info/0]).

%% Dialyzer knows that `nif_error' stands for any value; behind a function it would not.
-define(NOT_LOADED, erlang:nif_error({not_loaded, [{module, ?MODULE}]})).

-opaque recorder() :: reference().
-opaque in_flight() :: reference().
-opaque pacer() :: reference().
-opaque hiccup() :: reference().
-type ns() :: non_neg_integer().
%% Percentiles, minimum, mean and maximum are there only when `count' is not 0. `encoded' is the
%% histogram in HdrHistogram's V2 format, compressed, in base64.
-type snapshot() :: #{count := non_neg_integer(),
                      clamped := non_neg_integer(),
                      time_went_backwards := non_neg_integer(),
                      min_ns => ns(), mean_ns => ns(), max_ns => ns(),
                      p50_ns => ns(), p90_ns => ns(), p95_ns => ns(), p99_ns => ns(),
                      p999_ns => ns(),
                      encoded := binary()}.

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

%% @doc Says that a worker (from 0) has finished a request that a pacer gave it.
-spec leave(in_flight(), Worker :: non_neg_integer()) -> non_neg_integer().
leave(_InFlight, _Worker) -> ?NOT_LOADED.

%% @doc A recorder with a shard of 216 KiB for each of that many threads (0 to 1024) and one that
%% all others share. There is no reset: make a new one. It goes with its last reference.
-spec recorder_new(Threads :: 0..1024) -> recorder().
recorder_new(_Threads) -> ?NOT_LOADED.

%% @doc What was recorded so far.
-spec recorder_snapshot(recorder()) -> snapshot().
recorder_snapshot(_Recorder) -> ?NOT_LOADED.

%% @doc The times at quantiles from 0.0 to 1.0; `[]' if nothing was recorded.
-spec recorder_quantiles(recorder(), [float()]) -> [ns()].
recorder_quantiles(_Recorder, _Quantiles) -> ?NOT_LOADED.

%% @doc Counts the requests before each of that many workers.
-spec in_flight_new(Workers :: 1..100000) -> in_flight().
in_flight_new(_Workers) -> ?NOT_LOADED.

%% @doc Requests before all workers together.
-spec in_flight_total(in_flight()) -> non_neg_integer().
in_flight_total(_InFlight) -> ?NOT_LOADED.

%% @doc Starts a thread that sends the bare integer `IntendedNs' to the workers in turn, `Arrivals'
%% times at `Rate' a second (1 to 1,000,000) from `StartNs' on, and at last `pacer_finished' to the
%% caller. An arrival for a worker with `Limit' requests before it is skipped and counted. The
%% thread ends with its caller, and early when a worker is gone. `AnnounceLag' records how late it
%% announced.
-spec pacer_start(in_flight(), AnnounceLag :: recorder(), [pid()],
                  {constant | poisson, Seed :: non_neg_integer(), StartNs :: ns(),
                   Rate :: pos_integer()},
                  Arrivals :: 0..16#FFFFFFFF, Limit :: 1..16#FFFFFFFF) -> pacer().
pacer_start(_InFlight, _AnnounceLag, _Workers, _Schedule, _Arrivals, _Limit) -> ?NOT_LOADED.

%% @doc Asks a pacer to end early; `pacer_finished' follows within some 20 ms.
-spec pacer_stop(pacer()) -> ok.
pacer_stop(_Pacer) -> ?NOT_LOADED.

%% @doc Arrivals so far; final once `pacer_finished' has come.
-spec pacer_counts(pacer()) -> #{offered := non_neg_integer(), skipped := non_neg_integer()}.
pacer_counts(_Pacer) -> ?NOT_LOADED.

%% @doc Starts a thread that sleeps in steps of 1 ms and records how late it wakes. It ends with its
%% caller, with its last reference, and when it is stopped.
-spec hiccup_start() -> hiccup().
hiccup_start() -> ?NOT_LOADED.

%% @doc Ends the thread, waits for its end and gives what it recorded; again and again the same.
-spec hiccup_stop(hiccup()) -> snapshot().
hiccup_stop(_Hiccup) -> ?NOT_LOADED.

%% @doc Wall times of two pieces of fixed work, one in registers, one through 64 MiB of memory. Takes
%% some 0.1 s of a dirty scheduler.
-spec kernels() -> #{cpu_ns := ns(), memory_ns := ns()}.
kernels() -> ?NOT_LOADED.

%% @doc A report as JSON, after the checks that the gate makes when it reads one.
-spec report_encode(map()) -> {ok, Json :: binary()} | {error, Message :: binary()}.
report_encode(_Report) -> ?NOT_LOADED.

%% @doc Encodes a report and writes it under a temporary name, then renames it.
-spec report_write(Path :: binary(), map()) -> {ok, Json :: binary()} | {error, binary()}.
report_write(_Path, _Report) -> ?NOT_LOADED.

%% @doc Reads the operating system's monotonic clock, to compare `now/0' with.
-spec os_now() -> ns().
os_now() -> ?NOT_LOADED.

%% @doc Version and profile of the library; source, resolution and cost of its clock.
-spec info() -> #{version := binary(), profile := binary(), source := binary(),
                  resolution_ns := float(), read_cost_ns := float()}.
info() -> ?NOT_LOADED.

-spec load() -> ok | {error, {atom(), string()}}.
load() ->
    Priv = case code:priv_dir(router_bench) of
               {error, bad_name} ->
                   filename:join(filename:dirname(filename:dirname(code:which(?MODULE))), "priv");
               Dir ->
                   Dir
           end,
    erlang:load_nif(filename:join(Priv, "librouter_bench_nif"), 0).
