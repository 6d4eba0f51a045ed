%% @doc A hiccup meter inside the BEAM: a process of high priority that asks to be woken every
%% millisecond and records how late it was.
%%
%% The counterpart of `router_bench_nif:hiccup_start/1', which is a thread outside the schedulers. A
%% stall of the host shows in both, a stall of this VM only here. Timers of the BEAM tick in
%% milliseconds, so lateness counts from the millisecond that was asked for. Every millisecond has
%% its own place on one fixed grid: a stall is charged to every wake-up that should have happened
%% meanwhile.
%% @private
-module(router_bench_hiccup).

-export([start_link/1, stop/1]).

-define(STEP_MS, 1).
%% A high priority process that says nothing for 5 s is a VM that stands still.
-define(STOP_TIMEOUT_MS, 5000).

%% @doc Starts measuring; what it sees is added to a recorder. The meter ends with its owner, however
%% that ends.
-spec start_link(router_bench_nif:recorder()) -> pid().
start_link(Recorder) ->
    Owner = self(),
    Meter = spawn_opt(fun() -> init(Owner, Recorder) end, [link, {priority, high}]),
    receive
        {Meter, started} -> Meter;
        {'EXIT', Meter, Reason} -> exit({hiccup_meter_died, Reason})
    end.

%% @doc Ends the meter: nothing more is recorded.
-spec stop(pid()) -> ok.
stop(Meter) ->
    Meter ! {stop, self()},
    receive
        {Meter, stopped} -> ok;
        {'EXIT', Meter, Reason} -> exit({hiccup_meter_died, Reason})
    after ?STOP_TIMEOUT_MS -> exit({hiccup_meter_died, no_answer})
    end.

init(Owner, Recorder) ->
    % The link does not end this process when the owner ends normally.
    Monitor = monitor(process, Owner),
    Owner ! {self(), started},
    loop(Owner, Monitor, Recorder, erlang:monotonic_time(millisecond) + ?STEP_MS).

loop(Owner, Monitor, Recorder, IntendedMs) ->
    Timer = erlang:start_timer(IntendedMs, self(), wake, [{abs, true}]),
    receive
        {timeout, Timer, wake} ->
            loop(Owner, Monitor, Recorder, record(Recorder, IntendedMs));
        {stop, Owner} ->
            _ = erlang:cancel_timer(Timer),
            % A stall that lasts until the stop is recorded still.
            _ = record(Recorder, IntendedMs),
            unlink(Owner),
            Owner ! {self(), stopped},
            ok;
        {'DOWN', Monitor, process, Owner, _Reason} ->
            ok
    end.

%% Records every wake-up that is due; gives the first that is not.
record(Recorder, IntendedMs) ->
    record(Recorder, IntendedMs, erlang:monotonic_time(nanosecond)).

record(Recorder, IntendedMs, NowNs) ->
    case NowNs - erlang:convert_time_unit(IntendedMs, millisecond, nanosecond) of
        LateNs when LateNs >= 0 ->
            _ = router_bench_nif:record(Recorder, LateNs),
            record(Recorder, IntendedMs + ?STEP_MS, NowNs);
        _ ->
            IntendedMs
    end.
