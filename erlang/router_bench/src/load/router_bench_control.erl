%% @doc Positive controls: whether the router's counters move when they should.
%%
%% "0 errors" means something only if an error would have been counted. Before the measured blocks,
%% in a BEAM of its own, or in each node that runs already, the adapter makes the router meet one error and activate backpressure once;
%% both must show in `counters/1', the same way as in a measured block.
%% @private
-module(router_bench_control).

-export([side/3, run/1, moves/3]).

-export_type([result/0]).

-type result() :: #{errors_total => alive | not_offered,
                    backpressure_active_total => alive | not_offered}.

-define(COUNTERS, [errors_total, backpressure_active_total]).

%% @doc Runs the controls of a side: in one fresh BEAM, as its routers are alike, or in each node that runs
%% already. What any of these offers nothing for counts as not offered.
-spec side(router_bench_plan:plan(), router_bench_frozen:code(), DeadlineMs :: integer()) ->
          {ok, result()} | {error, term()}.
side(#{node := Nodes} = Plan, Code, DeadlineMs) when length(Nodes) > 1 ->
    Numbered = lists:zip(lists:seq(1, length(Nodes)), Nodes),
    in_each(Numbered, Plan, Code, DeadlineMs, maps:from_list([{Counter, alive} || Counter <- ?COUNTERS]));
side(Plan, Code, DeadlineMs) ->
    router_bench_place:run(?MODULE, Plan, Code, DeadlineMs).

in_each([], _Plan, _Code, _DeadlineMs, Result) ->
    {ok, Result};
in_each([{Number, Node} | Rest], Plan, Code, DeadlineMs, Result) ->
    case router_bench_place:run(?MODULE, Plan#{node := [Node]}, Code, DeadlineMs) of
        {ok, Of} ->
            NotOffered = maps:filter(fun(_, Shown) -> Shown =:= not_offered end, Of),
            in_each(Rest, Plan, Code, DeadlineMs, maps:merge(Result, NotOffered));
        {error, Reason} ->
            {error, {router, Number, Node, Reason}}
    end.

%% @doc Runs the controls in this VM. A counter that does not move is an error that names the
%% callback.
-spec run(router_bench_plan:plan()) -> {ok, result()} | {error, term()}.
run(#{adapter := Adapter} = Plan) ->
    % The controls are of the router; a planted fault is no part of it.
    router_bench_router:with(Plan#{fault := none}, fun(State) ->
        case erlang:function_exported(Adapter, control, 2) of
            true -> controls(?COUNTERS, Adapter, State, #{});
            false -> {ok, maps:from_list([{Counter, not_offered} || Counter <- ?COUNTERS])}
        end
    end).

controls([], _Adapter, _State, Result) ->
    {ok, Result};
controls([Counter | Rest], Adapter, State, Result) ->
    case moves(Counter, Adapter, State) of
        {ok, Shown} -> controls(Rest, Adapter, State, Result#{Counter => Shown});
        {error, Reason} -> {error, Reason}
    end.

%% @doc Whether a counter moves when the adapter makes it; an adapter may offer nothing for one of
%% them. Only in the process that `router_bench_router:with/2' made.
-spec moves(errors_total | backpressure_active_total, module(), router_bench_adapter:state()) ->
          {ok, alive | not_offered} | {error, term()}.
moves(Counter, Adapter, State) ->
    Read = fun() -> router_bench_router:counters(Adapter, State) end,
    case {Read(), router_bench_router:control(Counter, Adapter, State), Read()} of
        {{ok, _}, not_offered, {ok, _}} ->
            {ok, not_offered};
        {{ok, #{Counter := Before}}, _, {ok, #{Counter := After}}} when After > Before ->
            {ok, alive};
        {{ok, _}, _, {ok, _}} ->
            {error, {dead_counter, {Adapter, counters, 1}, Counter}};
        {{error, Reason}, _, _} ->
            {error, Reason};
        {_, _, {error, Reason}} ->
            {error, Reason}
    end.
