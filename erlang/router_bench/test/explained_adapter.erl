%% Measures `toy_explained', of which a test has two builds. What they do besides is an option.
-module(explained_adapter).
-behaviour(router_bench_adapter).

-export([init/1, request/2, route/2, counters/1, terminate/1, processes/1, faults/0]).

init(Options) ->
    ok = toy_explained:start(),
    {ok, #{planted => router_bench_fault:plant(maps:get(fault, Options, none), #{}),
           does => maps:get(does, Options, nothing)}}.

request(N, _State) ->
    N.

route(N, #{planted := Planted, does := Does}) ->
    router_bench_fault:route(Planted, fun() -> toy_explained:route(Does, N) end).

counters(_State) ->
    #{errors_total => 0, backpressure_active_total => 0}.

terminate(_State) ->
    ok.

processes(_State) ->
    [toy_explained_server].

faults() ->
    [delay_us].
