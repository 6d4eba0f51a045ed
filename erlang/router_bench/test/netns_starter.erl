%% Starts a BEAM in a network namespace.
-module(netns_starter).
-behaviour(router_bench_far).

-export([start/1]).

start(Namespace) ->
    {ok, #{exec => {os:find_executable("ip"), ["netns", "exec", binary_to_list(Namespace), "erl"]}}}.
