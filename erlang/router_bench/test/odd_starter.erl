%% Starts BEAMs on this machine as if it were another, or does what it must not.
-module(odd_starter).
-behaviour(router_bench_far).

-export([start/1]).

start(<<"erl">>) -> {ok, #{exec => {filename:join([code:root_dir(), "bin", "erl"]), []}}};
start(<<"ends">>) -> {ok, #{exec => {"/bin/sh", ["-c", "exit 7"]}}};
start(<<"refuses">>) -> {error, not_today};
start(<<"raises">>) -> error(on_purpose);
start(<<"answers nonsense">>) -> erl;
start(<<"hangs">>) -> timer:sleep(infinity).
