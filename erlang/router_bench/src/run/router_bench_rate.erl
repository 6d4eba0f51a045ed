%% @doc Finds the highest arrival rate at which p99 stays under a limit: doubling, then bisection.
-module(router_bench_rate).
-behaviour(router_bench_trials).

-export([find/2, search/1]).
-export([warm/1, search/2]).

-export_type([result/0, trial/0]).

-type trial() :: #{rate_per_second := pos_integer(), p99_us := number() | unknown,
                   skipped := non_neg_integer(), passes := boolean()}.
%% `rate_per_second' is 0 where even the lowest rate does not pass.
-type result() :: #{rate_per_second := non_neg_integer(), trials := [trial()]}.

-define(LOWEST, 100).
-define(HIGHEST, 1000000).
%% Bisection ends when the rates that pass and fail are this close.
-define(RESOLUTION, 1.05).
%% Where the plan leaves the length of a trial, and the workers that warm the router up, open.
-define(TRIAL_MS, 5000).
-define(WARMUP_WORKERS, 16).

%% @doc Searches with the plan's open loop.
-spec find(router_bench_plan:plan(), DeadlineMs :: integer()) -> {ok, result()} | {error, term()}.
find(Plan, DeadlineMs) ->
    router_bench_trials:find(?MODULE, Plan, own, DeadlineMs).

%% @private
-spec warm(router_bench_plan:plan()) -> router_bench_plan:plan().
warm(#{concurrency := calibrate, nodes := Drivers} = Plan) ->
    warm(Plan#{concurrency := max(?WARMUP_WORKERS, length(Drivers))});
warm(Plan) ->
    Plan#{rate_per_second := ?LOWEST}.

%% @private
-spec search(router_bench_plan:plan(), router_bench_trials:trial()) -> {ok, result()} | {error, term()}.
search(#{latency_ms := calibrate} = Plan, Trial) -> search(Plan#{latency_ms := ?TRIAL_MS}, Trial);
search(Plan, Trial) -> search(fun(Rate) -> trial(Plan, Trial, Rate) end).

trial(#{latency_ms := LatencyMs, p99_limit_us := LimitUs}, Trial, Rate) ->
    case Trial(open, #{rate_per_second => Rate}, LatencyMs) of
        {ok, #{skipped := Skipped} = Outcome} ->
            P99Us = case Outcome of
                        #{p99_ns := Ns} -> Ns / 1000;
                        #{} -> unknown
                    end,
            {ok, #{rate_per_second => Rate, p99_us => P99Us, skipped => Skipped,
                   passes => Skipped =:= 0 andalso is_number(P99Us) andalso P99Us =< LimitUs}};
        {error, Reason} ->
            {error, Reason}
    end.

%% @doc The search itself, over any trial.
-spec search(fun((pos_integer()) -> {ok, trial()} | {error, term()})) ->
          {ok, result()} | {error, term()}.
search(Trial) ->
    double(Trial, ?LOWEST, 0, []).

double(_Trial, Rate, Passed, Trials) when Rate > ?HIGHEST ->
    found(Passed, Trials);
double(Trial, Rate, Passed, Trials) ->
    case Trial(Rate) of
        {ok, #{passes := true} = T} -> double(Trial, 2 * Rate, Rate, [T | Trials]);
        {ok, T} -> bisect(Trial, Passed, Rate, [T | Trials]);
        {error, Reason} -> {error, Reason}
    end.

bisect(_Trial, 0, _Failed, Trials) ->
    found(0, Trials);
bisect(_Trial, Passed, Failed, Trials) when Failed =< Passed * ?RESOLUTION ->
    found(Passed, Trials);
bisect(Trial, Passed, Failed, Trials) ->
    Rate = (Passed + Failed) div 2,
    case Trial(Rate) of
        {ok, #{passes := true} = T} -> bisect(Trial, Rate, Failed, [T | Trials]);
        {ok, T} -> bisect(Trial, Passed, Rate, [T | Trials]);
        {error, Reason} -> {error, Reason}
    end.

found(Rate, Trials) ->
    {ok, #{rate_per_second => Rate, trials => lists:reverse(Trials)}}.
