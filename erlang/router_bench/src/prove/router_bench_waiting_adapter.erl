%% @doc A router that waits and does not compute, for drivers: what several of them reach together is then no matter
%% of processors.
%% @private
-module(router_bench_waiting_adapter).
-behaviour(router_bench_adapter).

-export([init/1, connect/2, request/2, route/2, counters/1, disconnect/1, terminate/1, answer/0]).

-define(WAIT_MS, 4).

%% @private
-spec init(router_bench_adapter:options()) -> {ok, here}.
init(_Options) ->
    {ok, here}.

%% @private
-spec connect([node(), ...], router_bench_adapter:options()) -> {ok, node()}.
connect([Node | _], _Options) ->
    {ok, Node}.

%% @private
-spec request(non_neg_integer(), node()) -> non_neg_integer().
request(N, _Node) ->
    N.

%% @private
-spec route(non_neg_integer(), node()) -> ok.
route(_N, Node) ->
    erpc:call(Node, ?MODULE, answer, []).

%% @doc In the router's BEAM.
-spec answer() -> ok.
answer() ->
    receive after ?WAIT_MS -> ok end.

%% @private
-spec counters(here) -> router_bench_adapter:counters().
counters(here) ->
    #{errors_total => 0, backpressure_active_total => 0}.

%% @private
-spec disconnect(node()) -> ok.
disconnect(_Node) ->
    ok.

%% @private
-spec terminate(here) -> ok.
terminate(here) ->
    ok.
