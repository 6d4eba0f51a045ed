%% `twin_adapter' of a router that cannot live twice on one machine.
-module(lonely_adapter).
-behaviour(router_bench_adapter).

-export([init/1, request/2, route/2, counters/1, terminate/1, lives_twice/0]).

init(Options) -> twin_adapter:init(Options).

request(N, State) -> twin_adapter:request(N, State).

route(Request, State) -> twin_adapter:route(Request, State).

counters(State) -> twin_adapter:counters(State).

terminate(State) -> twin_adapter:terminate(State).

lives_twice() -> false.
