%% A router (`live_router') that runs already, with drivers in other nodes of its cluster: its node is measured
%% and left as it was.
-module(cluster_adapter).
-behaviour(router_bench_adapter).

-export([init/1, request/2, route/2, counters/1, terminate/1, detach/1, connect/2]).

init(#{attached := true, drivers := _, routers := [Node]}) when Node =:= node() ->
    {ok, #{counters => counters:new(2, [])}}.

connect([Router], #{attached := true}) -> {ok, #{router => Router}}.

request(N, _State) -> N.

route(N, #{router := Node}) ->
    Monitor = monitor(process, {live_router, Node}),
    {live_router, Node} ! {route, self(), Monitor, N},
    receive
        {Monitor, ok} -> true = demonitor(Monitor, [flush]), ok;
        {'DOWN', Monitor, process, _, Reason} -> {error, Reason}
    end.

counters(#{counters := Counters}) ->
    #{errors_total => counters:get(Counters, 1), backpressure_active_total => counters:get(Counters, 2)}.

terminate(_State) -> live_router ! terminated.

detach(_State) -> ok.
