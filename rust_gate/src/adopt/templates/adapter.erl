%% @doc How the bench starts {{router}}, sends a request through it, and reads its counters.
%%
%% Each callback is described in the module router_bench_adapter. `perf-gate doctor' tries them.
-module({{router}}_perf_adapter).

-behaviour(router_bench_adapter).

-export([init/1, request/2, route/2, counters/1, terminate/1]).

%% Starts the router; not timed. `keys' in the options draw the key of a request, `instance' is 1 or 2:
%% two routers are alive at once, so a port or a file must depend on it.
init(Options) ->
    case application:ensure_all_started({{router}}) of
        {ok, Started} -> {ok, Options#{started => Started}};
        {error, Reason} -> {error, Reason}
    end.

%% Builds request number N; not timed.
request(N, #{keys := Keys}) ->
    router_bench_keys:key(N, Keys).

%% Routes it; timed. `ok', `{ok, Term}', `{error, Reason}' or `{rejected, Reason}'.
route(_Request, _State) ->
    {error, not_written_yet}.

%% What the router itself counted since it started. A counter that it does not have is left out here,
%% and its rule out of perf/policy_cp1.json.
counters(_State) ->
    #{errors_total => 0, backpressure_active_total => 0}.

%% Stops the router.
terminate(#{started := Started}) ->
    lists:foreach(fun application:stop/1, lists:reverse(Started)).
