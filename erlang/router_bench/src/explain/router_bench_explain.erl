%% @doc What both builds of a replay do for the same requests: each is routed through in a BEAM of its own,
%% one after the other, and traced there. Nothing of it is gated.
%%
%% How many requests a pass has is decided by the frozen build's speed, once, and the candidate is given as
%% many: what is counted of both can be compared.
%% @private
-module(router_bench_explain).

-export([run/1]).

-export_type([profiles/0]).

-type profiles() :: #{frozen := router_bench_profile:profile(),
                      candidate := router_bench_profile:profile()}.

%% Where a plan leaves the workers to a calibration, which this is not.
-define(WORKERS, 16).

%% @doc Profiles both builds of a plan. A planted fault is the candidate's alone.
-spec run(router_bench_plan:plan()) -> {ok, profiles()} | {error, Reason :: term()}.
run(#{replay := none}) ->
    {error, nothing_to_compare};
run(#{concurrency := calibrate} = Plan) ->
    run(Plan#{concurrency := ?WORKERS});
run(#{timeout_ms := TimeoutMs, replay := #{build := Build}} = Plan) ->
    DeadlineMs = erlang:monotonic_time(millisecond) + TimeoutMs,
    case profile(Plan#{fault := none}, Build, calibrate, DeadlineMs) of
        {ok, {Load, Frozen}} ->
            case profile(Plan, own, Load, DeadlineMs) of
                {ok, {Load, Candidate}} -> {ok, #{frozen => Frozen, candidate => Candidate}};
                {error, Reason} -> {error, {explain, candidate, Reason}}
            end;
        {error, Reason} ->
            {error, {explain, frozen, Reason}}
    end.

profile(Plan, Code, Load, DeadlineMs) ->
    Own = router_bench_frozen:project_path(Code),
    Arguments = [router_bench_plan:sent(Plan), Own, Load],
    router_bench_place:evaluate(Plan, Code, {router_bench_profile, run, Arguments}, DeadlineMs).
