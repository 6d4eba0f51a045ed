%% Routers (`live_router') that run already, one in each of some nodes, with drivers in other nodes of their cluster:
%% the routers' nodes are measured and left as they were.
-module(routers_adapter).
-behaviour(router_bench_adapter).

-export([init/1, request/2, route/2, counters/1, terminate/1, detach/1, control/2, connect/2]).

init(#{attached := true, drivers := _} = Options) ->
    % Where its counters are tried nobody will come.
    true = lists:member(node(), maps:get(routers, Options, [node()])),
    ok = tell(init),
    {ok, #{counters => counters:new(2, []), dead => maps:get(dead, Options, none)}}.

connect(Routers, #{attached := true} = Options) ->
    {ok, #{routers => list_to_tuple(Routers), answer => maps:get(answer, Options, ok)}}.

request(N, _State) -> N.

route(N, #{routers := Routers, answer := Answer}) ->
    Node = element(1 + N rem tuple_size(Routers), Routers),
    Monitor = monitor(process, {live_router, Node}),
    {live_router, Node} ! {route, self(), Monitor, N},
    receive
        {Monitor, ok} -> true = demonitor(Monitor, [flush]), Answer;
        {'DOWN', Monitor, process, _, Reason} -> {error, Reason}
    end.

counters(#{counters := Counters}) ->
    #{errors_total => counters:get(Counters, 1), backpressure_active_total => counters:get(Counters, 2)}.

terminate(_State) -> tell(terminate).

detach(_State) -> tell(detach).

control(errors_total, #{dead := Dead}) when Dead =:= node() ->
    tell(control);
control(errors_total, #{counters := Counters}) ->
    ok = tell(control),
    counters:add(Counters, 1, 1);
control(backpressure_active_total, _State) ->
    not_offered.

tell(What) ->
    live_router ! {called, What},
    ok.
