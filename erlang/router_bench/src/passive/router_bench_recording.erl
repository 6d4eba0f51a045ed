%% @doc Records requests that somebody else makes: what runs inside a router that is watched.
%%
%% A request belongs to the window that it began in, whenever it ends, so that what began and what became of
%% it can be compared. Whether it did is told by its time of start alone, which both its events know: nothing
%% is kept of a request between them, neither here nor in its process, so requests may nest, interleave, move
%% to other processes and die.
%%
%% Nothing here raises: what goes wrong is counted, told to the owner once, and said in the report. A router
%% never sees it, and `telemetry' has no reason to detach the handler.
%% @private
-module(router_bench_recording).

-export([new/1, now/1, open/1, close/1, forget/1, counts/1, window/2, slice/1, recorded/1]).
-export([started/1, ended/3, span/4]).

-export_type([recording/0, source/0, counts/0]).

-type source() :: spans | calls.
%% Counts of all windows so far. `ended': requests of which the end was recorded, whatever it was.
-type counts() :: #{started := non_neg_integer(), ended := non_neg_integer(),
                    failed := non_neg_integer(), error := non_neg_integer(),
                    timeout := non_neg_integer(), rejected := non_neg_integer()}.

-record(recording, {source :: source(),
                    window :: atomics:atomics_ref(),
                    recorder :: router_bench_nif:recorder(),
                    tally :: router_bench_outcome:tally(),
                    ended :: counters:counters_ref(),
                    failed :: atomics:atomics_ref(),
                    owner :: pid(),
                    % Of the emulator's clock.
                    per_second :: pos_integer()}).
-opaque recording() :: #recording{}.

%% A window is from one time to another, in units of its clock.
-define(BEGIN, 1).
-define(END, 2).
-define(NEVER, 16#7FFFFFFFFFFFFFFF).
%% A window's end is told ahead of it: whoever asks then knows of it, on every scheduler.
-define(AHEAD_MS, 5).

%% @doc No window is open yet. Belongs to the caller, who is sent `{recording_failed, Class, Reason, Stack}' when a
%% recording fails for the first time.
-spec new(source()) -> recording().
new(Source) ->
    Window = atomics:new(2, [{signed, true}]),
    ok = atomics:put(Window, ?BEGIN, ?NEVER),
    ok = atomics:put(Window, ?END, ?NEVER),
    #recording{source = Source, window = Window,
               recorder = router_bench_nif:recorder_new(erlang:system_info(schedulers)),
               tally = router_bench_outcome:new(),
               ended = counters:new(1, [write_concurrency]), failed = atomics:new(1, []),
               owner = self(), per_second = erlang:convert_time_unit(1, second, native)}.

%% @doc The time of the clock that starts of requests are told in.
-spec now(recording()) -> integer().
now(#recording{source = calls}) -> router_bench_nif:now();
now(#recording{source = spans}) -> erlang:monotonic_time().

%% @doc From now on requests that begin are recorded.
-spec open(recording()) -> ok.
open(#recording{window = Window} = Recording) ->
    ok = atomics:put(Window, ?END, ?NEVER),
    atomics:put(Window, ?BEGIN, now(Recording)).

%% @doc Requests that begin from now on are not recorded, and those that began before are still. Gives the
%% window's length.
-spec close(recording()) -> router_bench_nif:ns().
close(#recording{window = Window} = Recording) ->
    Units = units(?AHEAD_MS, Recording),
    End = now(Recording) + Units,
    ok = atomics:put(Window, ?END, End),
    ok = until(End, Recording),
    nanoseconds(End - atomics:get(Window, ?BEGIN), Recording).

until(Time, Recording) ->
    case now(Recording) >= Time of
        true ->
            ok;
        false ->
            timer:sleep(1),
            until(Time, Recording)
    end.

%% @doc Nothing is recorded any more.
-spec forget(recording()) -> ok.
forget(#recording{window = Window}) ->
    atomics:put(Window, ?BEGIN, ?NEVER).

units(Ms, #recording{source = calls}) -> Ms * 1000000;
units(Ms, #recording{per_second = PerSecond}) -> Ms * PerSecond div 1000.

nanoseconds(Ns, #recording{source = calls}) -> Ns;
nanoseconds(Native, #recording{per_second = 1000000000}) -> Native;
nanoseconds(Native, #recording{per_second = PerSecond}) -> Native * 1000000000 div PerSecond.

%% @doc What was counted so far.
-spec counts(recording()) -> counts().
counts(#recording{tally = Tally, ended = Ended, failed = Failed}) ->
    #{sent := Started} = Counts = router_bench_outcome:counts(Tally),
    (maps:with([error, timeout, rejected], Counts))#{
      started => Started, ended => counters:get(Ended, 1), failed => atomics:get(Failed, 1)}.

%% @doc How many successes the recorder has timed so far.
-spec recorded(recording()) -> non_neg_integer().
recorded(#recording{recorder = Recorder}) ->
    #{count := Count} = router_bench_nif:recorder_snapshot(Recorder),
    Count.

%% @doc What was recorded since the last call, and why requests failed, of which so many were never answered.
-spec window(recording(), NeverAnswered :: non_neg_integer()) ->
          {router_bench_nif:snapshot(), [router_bench_outcome:reason()]}.
window(#recording{recorder = Recorder, tally = Tally}, NeverAnswered) ->
    ok = router_bench_outcome:abandoned(Tally, {NeverAnswered, []}),
    Reasons = router_bench_outcome:reasons(Tally),
    ok = router_bench_outcome:forget_reasons(Tally),
    {router_bench_nif:recorder_window(Recorder), Reasons}.

%% @doc The times that were recorded since the last call.
-spec slice(recording()) -> router_bench_nif:figures().
slice(#recording{recorder = Recorder}) ->
    router_bench_nif:recorder_slice(Recorder).

%% In the router's processes

%% @doc A request begins: two calls, the first.
-spec started(recording()) -> none | integer().
started(#recording{window = Window, tally = Tally}) ->
    Start = router_bench_nif:start(),
    case is_in(Start, Window) of
        true ->
            ok = router_bench_outcome:sent(Tally),
            Start;
        false ->
            none
    end.

%% @doc It ended: two calls, the second.
-spec ended(recording(), integer(), Answer :: term()) -> ok.
ended(Recording, Start, Answer) ->
    try call_ended(Recording, Start, Answer)
    catch
        Class:Reason:Stack -> failed(Recording, Class, Reason, Stack)
    end.

call_ended(#recording{window = Window, recorder = Recorder} = Recording, Start, Answer) ->
    case is_in(Start, Window) of
        false ->
            ok;
        true ->
            case router_bench_outcome:of_answer(Answer) of
                ok ->
                    _ = router_bench_nif:stop(Recorder, Start),
                    count_end(Recording);
                NotOk ->
                    not_ok(Recording, NotOk)
            end
    end.

%% @doc A handler of `telemetry': of the events that `telemetry:span/3' makes.
-spec span([atom()], map(), map(), {recording(), fun((map()) -> term())}) -> ok.
span(Event, Measurements, Metadata, {Recording, Answer}) ->
    try span_event(lists:last(Event), Measurements, Metadata, Answer, Recording)
    catch
        Class:Reason:Stack -> failed(Recording, Class, Reason, Stack)
    end.

span_event(start, Measurements, _Metadata, _Answer, #recording{window = Window, tally = Tally}) ->
    case is_in(time(Measurements), Window) of
        true -> router_bench_outcome:sent(Tally);
        false -> ok
    end;
span_event(End, #{duration := Duration} = Measurements, Metadata, Answer,
           #recording{window = Window} = Recording) when is_integer(Duration), Duration >= 0 ->
    case is_in(time(Measurements) - Duration, Window) of
        true -> span_ended(End, Duration, Metadata, Answer, Recording);
        false -> ok
    end.

%% Who makes events without `telemetry:span/3' may leave it out.
time(#{monotonic_time := Time}) when is_integer(Time) -> Time;
time(Measurements) when not is_map_key(monotonic_time, Measurements) -> erlang:monotonic_time().

span_ended(stop, Duration, Metadata, Answer, #recording{recorder = Recorder} = Recording) ->
    case router_bench_outcome:of_answer(Answer(Metadata)) of
        ok ->
            _ = router_bench_nif:record(Recorder, nanoseconds(Duration, Recording)),
            count_end(Recording);
        NotOk ->
            not_ok(Recording, NotOk)
    end;
span_ended(exception, _Duration, Metadata, _Answer, Recording) ->
    Class = maps:get(kind, Metadata, error),
    Stack = maps:get(stacktrace, Metadata, []),
    not_ok(Recording, router_bench_outcome:of_exception(Class, maps:get(reason, Metadata, unknown), Stack)).

is_in(Start, Window) when is_integer(Start) ->
    Start >= atomics:get(Window, ?BEGIN) andalso Start < atomics:get(Window, ?END).

not_ok(#recording{tally = Tally} = Recording, NotOk) ->
    ok = router_bench_outcome:count(Tally, NotOk),
    count_end(Recording).

count_end(#recording{ended = Ended}) ->
    counters:add(Ended, 1, 1).

failed(#recording{failed = Failed, owner = Owner}, Class, Reason, Stack) ->
    case atomics:add_get(Failed, 1, 1) of
        1 ->
            Owner ! {recording_failed, Class, Reason, Stack},
            ok;
        _ ->
            ok
    end.
