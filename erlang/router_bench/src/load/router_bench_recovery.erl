%% @doc An outage, and how the router comes back from it: an open loop of its own at the plan's rate, after all
%% that is measured otherwise, in which the adapter begins an outage and ends it again (`outage/1').
%%
%% The loop is seen in windows by intended start: first those that say what was before, then the outage, then
%% as long as a router may take that comes back. What follows from them is computed by `cp1_format'.
%% @private
-module(router_bench_recovery).

-export([run/1, phase_ms/1]).

-export_type([result/0]).

%% Times from the first intended start on.
-type result() :: #{duration_ns := router_bench_nif:ns(), window_ns := router_bench_nif:ns(),
                    tolerance_pct := number(),
                    outage_began_ns := router_bench_nif:ns(), outage_ended_ns := router_bench_nif:ns(),
                    windows := [router_bench_open_loop:window()],
                    accounting := router_bench_outcome:accounting(),
                    reasons := [router_bench_outcome:reason()]}.

%% A window: five requests above its p95, and of many windows no more than are worth keeping.
-define(WINDOW_MS_LEAST, 50).
-define(ARRIVALS_OF_A_WINDOW, 100).
-define(WINDOWS_MAX, 400).
%% The highest of so many is beyond what one in twenty shows by itself.
-define(WINDOWS_BEFORE, 20).
%% For coming back: so long, or so many times the outage.
-define(BACK_MS_LEAST, 3000).
-define(BACK_TIMES, 3).

%% @doc Has an outage in this VM; `not_offered' where the adapter has none.
-spec run(router_bench_side:context()) -> {ok, result() | not_offered} | {error, term()}.
run(#{plan := #{outage_tolerance_pct := TolerancePct, callback_timeout_ms := LimitMs} = Plan,
      adapter := Adapter} = Context) ->
    {WindowMs, Count} = windows(Plan),
    BeforeMs = ?WINDOWS_BEFORE * WindowMs,
    Side = self(),
    {Outage, Monitor} = spawn_monitor(fun() -> Side ! {self(), outage(Context, BeforeMs)} end),
    Looped = router_bench_open_loop:run(Context, Count * WindowMs, {WindowMs * 1000000, Count},
                                        fun(StartNs) -> Outage ! {begins, StartNs} end),
    _ = [exit(Outage, kill) || {error, _} <- [Looped]],
    receive
        {Outage, Ended} ->
            true = demonitor(Monitor, [flush]),
            both(Looped, Ended, WindowMs, TolerancePct);
        {'DOWN', Monitor, process, Outage, Reason} ->
            both(Looped, Reason, WindowMs, TolerancePct)
    after LimitMs ->
            exit(Outage, kill),
            receive {'DOWN', Monitor, process, Outage, _} -> ok end,
            {error, {no_return, {Adapter, outage, 1}, LimitMs}}
    end.

both({error, Reason}, _Ended, _WindowMs, _TolerancePct) ->
    {error, Reason};
both({ok, _, _}, {ended, not_offered}, _WindowMs, _TolerancePct) ->
    {ok, not_offered};
both({ok, Loop, Windows}, {ended, Times}, WindowMs, TolerancePct) ->
    {ok, (maps:merge(maps:with([duration_ns, accounting, reasons], Loop), Times))#{
           window_ns => WindowMs * 1000000, windows => Windows, tolerance_pct => TolerancePct}};
both({ok, _, _}, Reason, _WindowMs, _TolerancePct) ->
    {error, Reason}.

%% In a process of its own, so that an outage ends with it where the adapter means that.
outage(#{adapter := Adapter, state := State, plan := #{outage_ms := OutageMs}}, BeforeMs) ->
    StartNs = receive {begins, Ns} -> Ns end,
    ok = wait_until(StartNs + BeforeMs * 1000000),
    BeganNs = router_bench_nif:now(),
    try
        case Adapter:outage(State) of
            {ended_by, End} when is_function(End, 0) ->
                ok = wait_until(BeganNs + OutageMs * 1000000),
                _ = End(),
                {ended, #{outage_began_ns => BeganNs - StartNs,
                          outage_ended_ns => router_bench_nif:now() - StartNs}};
            not_offered ->
                {ended, not_offered};
            Other ->
                {bad_return, {Adapter, outage, 1}, Other}
        end
    catch
        Class:Reason:Stack -> {adapter_failed, {Adapter, outage, 1}, {Class, Reason, Stack}}
    end.

wait_until(DeadlineNs) ->
    case DeadlineNs - router_bench_nif:now() of
        LeftNs when LeftNs > 0 ->
            timer:sleep((LeftNs + 999999) div 1000000),
            wait_until(DeadlineNs);
        _ ->
            ok
    end.

windows(#{outage_ms := OutageMs, rate_per_second := Rate}) ->
    FromOutageMs = OutageMs + max(?BACK_MS_LEAST, ?BACK_TIMES * OutageMs),
    WindowMs = lists:max([?WINDOW_MS_LEAST, ?ARRIVALS_OF_A_WINDOW * 1000 div Rate,
                          FromOutageMs div (?WINDOWS_MAX - ?WINDOWS_BEFORE)]),
    {WindowMs, ?WINDOWS_BEFORE + max(?WINDOWS_BEFORE, ceil(FromOutageMs / WindowMs))}.

%% @doc How long it takes, of a plan whose rate is known; nothing where no outage is asked for.
-spec phase_ms(router_bench_plan:plan()) -> non_neg_integer().
phase_ms(#{outage_ms := none}) ->
    0;
phase_ms(Plan) ->
    {WindowMs, Count} = windows(Plan),
    WindowMs * Count.
