%% A router that never answers.
-module(hanging_adapter).
-behaviour(router_bench_adapter).

-export([init/1, request/2, route/2, counters/1, terminate/1]).

init(_Options) -> {ok, none}.
request(N, none) -> N.
route(_N, none) -> receive never -> ok end.
counters(none) -> #{errors_total => 0, backpressure_active_total => 0}.
terminate(none) -> ok.
