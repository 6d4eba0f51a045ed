%% @doc Finds the highest arrival rate at which p99 stays under a limit: doubling, then bisection.
-module(router_bench_rate).

-export([run/1, search/1]).

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

%% @doc Searches with the plan's open loop, in this VM.
-spec run(router_bench_plan:plan()) -> {ok, result()} | {error, term()}.
run(#{adapter := Adapter} = Given) ->
    Plan = trial_plan(Given#{rate_per_second := ?LOWEST}), % for warming up
    router_bench_router:with(Plan, fun(State) ->
        Context = #{plan => Plan, adapter => Adapter, state => State},
        case router_bench_warmup:run(Context) of
            {ok, _} -> search(fun(Rate) -> trial(Context, Rate) end);
            {error, Reason} -> {error, Reason}
        end
    end).

%% What a plan may leave open, closed for trials.
trial_plan(#{latency_ms := calibrate} = Plan) -> trial_plan(Plan#{latency_ms := ?TRIAL_MS});
trial_plan(#{concurrency := calibrate} = Plan) -> Plan#{concurrency := ?WARMUP_WORKERS};
trial_plan(Plan) -> Plan.

trial(#{plan := #{latency_ms := LatencyMs, p99_limit_us := LimitUs} = Plan} = Context, Rate) ->
    case router_bench_open_loop:run(Context#{plan := Plan#{rate_per_second := Rate}}, LatencyMs) of
        {ok, #{response_time := Response, accounting := #{skipped := Skipped}}} ->
            P99Us = case Response of
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
