-module(router_bench_plan_SUITE).

-export([all/0]).
-export([an_unknown_option_is_named/1, a_bad_value_is_named_with_what_was_expected/1,
         an_adapter_without_a_callback_is_refused/1,
         a_fault_that_the_adapter_cannot_plant_is_refused/1, defaults_make_a_plan/1,
         a_fault_reads_back_as_it_was_written/1,
         keys_repeat_with_their_seed_and_follow_their_distribution/1,
         the_rate_search_ends_within_five_percent_below_the_edge/1]).

all() ->
    [F || {F, 1} <- ?MODULE:module_info(exports), F =/= module_info].

new(Options) ->
    router_bench_plan:new(maps:merge(#{adapter => toy_adapter}, Options)).

an_unknown_option_is_named(_Config) ->
    {error, {unknown_option, block} = Reason} = new(#{block => 3}),
    {match, _} = re:run(router_bench_plan:message(Reason), "unknown option block.*blocks"),
    {error, {unknown_option, "blocks"}} = new(#{"blocks" => 3}),
    {error, {missing_option, adapter}} = router_bench_plan:new(#{}).

a_bad_value_is_named_with_what_was_expected(_Config) ->
    [begin
         {error, {bad_option, Key, Value, _} = Reason} = new(#{Key => Value}),
         {match, _} = re:run(router_bench_plan:message(Reason), atom_to_list(Key))
     end || {Key, Value} <- [{blocks, 0}, {blocks, 1.0}, {blocks, "3"}, {blocks, 1001},
                             {warmup_ms, -1}, {rate_per_second, 0}, {rate_per_second, 1000001},
                             {concurrency, 10001}, {seed, -1}, {seed, 1 bsl 80},
                             {timeout_ms, infinity}, {quiet, yes}, {report_file, 5}, {progress, 5},
                             {adapter_options, []}, {arrivals, burst}, {keys, zipf},
                             {keys, {zipf, 0}}, {key_count, 0}, {control, 1}, {fault, nonsense},
                             {erl_args, "+S 1"}, {erl_args, ["+S", 1]}, {erl_args, ["-sname", "a"]}, {fault, "delay_us=-1"},
                             {fault, {1}}, {adapter, "toy"}, {max_in_flight, 100001}]].

an_adapter_without_a_callback_is_refused(_Config) ->
    {error, {adapter, no_such_adapter, _}} = new(#{adapter => no_such_adapter}),
    {error, {adapter, lists, "does not export init/1"}} = new(#{adapter => lists}).

a_fault_that_the_adapter_cannot_plant_is_refused(_Config) ->
    {ok, #{fault := {delay_us, 5}}} = new(#{fault => "delay_us=5"}),
    {error, {bad_option, fault, <<"delay_us=5">>, _}} =
        new(#{adapter => plain_adapter, fault => "delay_us=5"}),
    {ok, _} = new(#{adapter => plain_adapter}).

defaults_make_a_plan(_Config) ->
    {ok, Plan} = new(#{}),
    Known = lists:sort([adapter | maps:keys(router_bench_plan:defaults())]),
    % What a run puts in, and no option may.
    Own = [share, reached, cluster],
    Known = lists:sort(maps:keys(Plan) -- Own),
    [{error, {unknown_option, Key}} = new(#{Key => none}) || Key <- Own].

keys_repeat_with_their_seed_and_follow_their_distribution(_Config) ->
    Draws = 20000,
    Count = fun(Distribution, Seed) ->
                    Keys = router_bench_keys:new(Distribution, 100, Seed),
                    Drawn = [router_bench_keys:key(N, Keys) || N <- lists:seq(1, Draws)],
                    true = lists:all(fun(K) -> K >= 1 andalso K =< 100 end, Drawn),
                    lists:foldl(fun(K, Map) -> maps:update_with(K, fun(C) -> C + 1 end, 1, Map) end,
                                #{}, Drawn)
            end,
    [begin
         true = Count(Distribution, 5) =:= Count(Distribution, 5),
         false = Count(Distribution, 5) =:= Count(Distribution, 6)
     end || Distribution <- [uniform, {zipf, 1}, {zipf, 1.2}]],
    % Five standard deviations of a binomial count.
    Near = fun(Drawn, Share) ->
                   Expected = Draws * Share,
                   abs(Drawn - Expected) < 5 * math:sqrt(Expected * (1 - Share))
           end,
    Uniform = Count(uniform, 1),
    [true = Near(maps:get(K, Uniform), 1 / 100) || K <- lists:seq(1, 100)],
    [begin
         Zipf = Count({zipf, S}, 1),
         Total = lists:sum([math:pow(K, -S) || K <- lists:seq(1, 100)]),
         [true = Near(maps:get(K, Zipf), math:pow(K, -S) / Total) || K <- lists:seq(1, 20)]
     end || S <- [0.7, 1, 1.2, 2]].

the_rate_search_ends_within_five_percent_below_the_edge(_Config) ->
    Search = fun(Edge) ->
                     {ok, #{rate_per_second := Rate, trials := Trials}} =
                         router_bench_rate:search(fun(R) -> {ok, #{rate_per_second => R, p99_us => 1,
                                                                   skipped => 0,
                                                                   passes => R =< Edge}} end),
                     true = length(Trials) < 25,
                     Rate
             end,
    0 = Search(99),
    819200 = Search(1000000000),
    [begin
         Rate = Search(Edge),
         true = Rate =< Edge andalso Edge =< Rate * 1.05 + 1
     end || Edge <- [100, 101, 150, 199, 200, 5000, 77777, 500000]],
    {error, planned} = router_bench_rate:search(fun(_) -> {error, planned} end).

a_fault_reads_back_as_it_was_written(_Config) ->
    [{ok, Fault} = router_bench_fault:parse(router_bench_fault:text(Fault))
     || Fault <- [{delay_us, 200}, {delay_us, 1.7}, {stall_ms, 20}, {error_ratio, 0.25},
                  {error_ratio, 1}, {hold_bytes, 1000000}, {leak_bytes, 64}, {backpressure, 1},
                  {crash_after, 10}]],
    [{error, _} = router_bench_fault:parse(Text)
     || Text <- ["", "delay_us", "delay_us=", "delay_us=1.5s", "delay_us=0", "delay_us=1x",
                 "stall_ms=1001", "error_ratio=0", "error_ratio=2", "error_ratio=nan", "backpressure=2",
                 "backpressure=0", "hold_bytes=1.5", "nonsense=1", "delay_us=1=2", "crash_after=-5"]].
