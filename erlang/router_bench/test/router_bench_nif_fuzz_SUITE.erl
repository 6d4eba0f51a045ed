%% Random calls of the native library, in a VM of its own. `NIF_FUZZ_SECONDS' says for how long,
%% `NIF_FUZZ_SEED' with which terms; what happens when is the schedulers' choice.
-module(router_bench_nif_fuzz_SUITE).

-export([all/0, suite/0]).
-export([no_call_of_any_process_ends_the_vm/1]).

%% The end of all threads, and a VM that boots on a busy machine.
-define(PATIENCE_MS, 120000).

suite() ->
    [{timetrap, {seconds, seconds() + 2 * ?PATIENCE_MS div 1000}}].

all() ->
    [no_call_of_any_process_ends_the_vm].

no_call_of_any_process_ends_the_vm(Config) ->
    Directory = unicode:characters_to_binary(proplists:get_value(priv_dir, Config)),
    DurationMs = seconds() * 1000,
    Seed = seed(),
    % Past the test runner, which shows what is logged of failures only.
    ok = io:format(user, "NIF_FUZZ_SEED=~b for ~b s: ", [Seed, seconds()]),
    Options = #{seed => Seed, duration_ms => DurationMs, directory => Directory},
    DeadlineMs = erlang:monotonic_time(millisecond) + DurationMs + ?PATIENCE_MS,
    % More dirty schedulers than processors, so that calls meet in the library.
    Plan = #{node => [], cluster => none, erl_args => ["+S", "4", "+SDcpu", "4", "+SDio", "4"]},
    Told = router_bench_place:evaluate(Plan, own, {router_bench_nif_fuzz, run, [Options]}, DeadlineMs),
    ok = io:format(user, "~0p~n", [Told]),
    #{faults := [], executions := Executions, values := Values, badarg := Badarg,
      kills_inside := Kills, reloads := Reloads} = Told,
    [] = [Zero || {Zero, 0} <- [{executions, Executions}, {values, Values}, {badarg, Badarg},
                                {kills_inside, Kills}, {reloads, Reloads}]].

seconds() ->
    list_to_integer(os:getenv("NIF_FUZZ_SECONDS", "5")).

seed() ->
    case os:getenv("NIF_FUZZ_SEED") of
        false -> erlang:system_time(nanosecond);
        Text -> list_to_integer(Text)
    end.
