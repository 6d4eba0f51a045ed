%% @doc Positive controls: whether the router's counters move when they should.
%%
%% "0 errors" means something only if an error would have been counted. Before the measured blocks,
%% in a BEAM of its own, the adapter makes the router meet one error and activate backpressure once;
%% both must show in `counters/1', the same way as in a measured block.
%% @private
-module(router_bench_control).

-export([run/1, moves/3]).

-export_type([result/0]).

-type result() :: #{errors_total => alive | not_offered,
                    backpressure_active_total => alive | not_offered}.

-define(COUNTERS, [errors_total, backpressure_active_total]).

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
