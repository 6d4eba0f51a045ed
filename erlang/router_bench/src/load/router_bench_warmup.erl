%% @doc Warms a router up: slices of closed loop, until throughput is steady.
%%
%% Steady means that the last four slices lie within 5 % of their mean. The plan's
%% `warmup_ms' is the least time; five times that is the cap. Then the open loop runs for half of
%% `warmup_ms', so that its code is loaded too. Nothing of all that is measured.
%% @private
-module(router_bench_warmup).

-export([run/1, is_steady/1]).

-export_type([result/0]).

-type result() :: #{steady := boolean(), duration_ms := non_neg_integer(), rps := [float()]}.

-define(SLICES_LEAST, 5).
-define(SLICES_CAP, 25).
-define(SLICES_STEADY, 4).
-define(STEADY_SHARE, 0.05).

%% @doc Warms up; gives the throughput of each slice.
-spec run(router_bench_side:context()) -> {ok, result()} | {error, term()}.
run(#{plan := #{warmup_ms := WarmupMs}} = Context) ->
    StartMs = erlang:monotonic_time(millisecond),
    SliceMs = max(1, WarmupMs div ?SLICES_LEAST),
    case slices(router_bench_closed_loop:open(Context), SliceMs, []) of
        {ok, Newest} ->
            case router_bench_open_loop:run(Context, max(1, WarmupMs div 2)) of
                {ok, _} ->
                    {ok, #{steady => is_steady(Newest), rps => lists:reverse(Newest),
                           duration_ms => erlang:monotonic_time(millisecond) - StartMs}};
                {error, Reason} ->
                    {error, Reason}
            end;
        {error, Reason} ->
            {error, Reason}
    end.

slices(Loop, SliceMs, Newest) ->
    Enough = length(Newest) >= ?SLICES_LEAST andalso is_steady(Newest),
    case Enough orelse length(Newest) >= ?SLICES_CAP of
        true ->
            {ok, Newest};
        false ->
            case router_bench_closed_loop:slice(Loop, SliceMs) of
                {ok, #{ok := Ok, duration_ns := DurationNs}, Next} ->
                    slices(Next, SliceMs, [Ok * 1.0e9 / DurationNs | Newest]);
                {error, Reason} ->
                    {error, Reason}
            end
    end.

%% @doc Whether the newest slices are within 5 % of their mean.
-spec is_steady(NewestFirst :: [float()]) -> boolean().
is_steady(NewestFirst) when length(NewestFirst) < ?SLICES_STEADY ->
    false;
is_steady(NewestFirst) ->
    Last = lists:sublist(NewestFirst, ?SLICES_STEADY),
    Mean = lists:sum(Last) / ?SLICES_STEADY,
    lists:all(fun(Rate) -> abs(Rate - Mean) =< ?STEADY_SHARE * Mean end, Last).
