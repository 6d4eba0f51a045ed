-module(router_bench_plan_SUITE).

-export([all/0, init_per_testcase/2, end_per_testcase/2]).
-export([an_unknown_option_is_named/1, a_bad_value_is_named_with_what_was_expected/1,
         an_adapter_without_a_callback_is_refused/1,
         a_fault_that_the_adapter_cannot_plant_is_refused/1, defaults_make_a_plan/1,
         a_fault_reads_back_as_it_was_written/1,
         keys_repeat_with_their_seed_and_follow_their_distribution/1,
         the_rate_search_ends_within_five_percent_below_the_edge/1,
         a_setting_that_is_no_number_or_out_of_range_is_named/1,
         settings_reach_the_options_and_an_empty_one_is_unset/1,
         a_merge_request_is_a_smoke_run_unless_it_says_otherwise/1]).

-define(VARIABLES, ["PERF_MODE", "PERF_BLOCKS", "PERF_WARMUP_MS", "PERF_THROUGHPUT_MS",
                    "PERF_LATENCY_MS", "PERF_RATE", "PERF_CONCURRENCY", "PERF_TIMEOUT_SECONDS",
                    "PERF_FAULT", "PERF_ADAPTER", "PERF_ARRIVALS", "PERF_KEYS", "PERF_KEY_COUNT",
                    "PERF_SEED",  "CI_PIPELINE_SOURCE", "GITHUB_EVENT_NAME"]).

all() ->
    [F || {F, 1} <- ?MODULE:module_info(exports), F =/= module_info].

init_per_testcase(_Case, Config) ->
    Saved = [{Name, os:getenv(Name)} || Name <- ?VARIABLES],
    lists:foreach(fun os:unsetenv/1, ?VARIABLES),
    [{saved, Saved} | Config].

end_per_testcase(_Case, Config) ->
    [case Value of
         false -> os:unsetenv(Name);
         _ -> os:putenv(Name, Value)
     end || {Name, Value} <- proplists:get_value(saved, Config)].

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
                             {timeout_ms, infinity}, {quiet, yes}, {report_file, 5},
                             {adapter_options, []}, {arrivals, burst}, {keys, zipf},
                             {keys, {zipf, 0}}, {key_count, 0}, {control, 1}, {fault, nonsense}, {fault, "delay_us=-1"},
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
    Known = lists:sort(maps:keys(Plan)),
    {ok, #{blocks := 6}} = new(router_bench_plan:smoke()).

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

a_setting_that_is_no_number_or_out_of_range_is_named(_Config) ->
    [begin
         true = os:putenv(Name, Value),
         {error, Message} = router_bench_settings:options(),
         {match, _} = re:run(Message, Name),
         true = os:unsetenv(Name)
     end || {Name, Value} <- [{"PERF_BLOCKS", "0"}, {"PERF_BLOCKS", "ten"}, {"PERF_BLOCKS", "3.5"},
                              {"PERF_RATE", "-1"}, {"PERF_RATE", "1e3"}, {"PERF_CONCURRENCY", "0"},
                              {"PERF_WARMUP_MS", "5"}, {"PERF_LATENCY_MS", "99999999"},
                              {"PERF_THROUGHPUT_MS", " 5"}, {"PERF_TIMEOUT_SECONDS", "9"},
                              {"PERF_MODE", "quick"}, {"PERF_FAULT", "delay=5"},
                              {"PERF_ARRIVALS", "burst"}, {"PERF_KEYS", "zipf"},
                              {"PERF_KEYS", "zipf:0"}, {"PERF_KEYS", "zipf:1.1x"},
                              {"PERF_KEY_COUNT", "0"}, {"PERF_SEED", "-1"},
                              {"PERF_ADAPTER", "Not an atom"}, {"PERF_ADAPTER", "../x"}]].

settings_reach_the_options_and_an_empty_one_is_unset(_Config) ->
    [os:putenv(Name, Value) || {Name, Value} <- [{"PERF_BLOCKS", "7"}, {"PERF_RATE", "123"},
                                                 {"PERF_LATENCY_MS", ""}, {"PERF_MODE", "smoke"},
                                                 {"PERF_TIMEOUT_SECONDS", "100"},
                                                 {"PERF_ARRIVALS", "poisson"},
                                                 {"PERF_KEYS", "zipf:1.1"},
                                                 {"PERF_KEY_COUNT", "77"}, {"PERF_SEED", "9"},
                                                 {"PERF_FAULT", "delay_us=3"}]],
    {ok, Options} = router_bench_settings:options(),
    #{blocks := 7, rate_per_second := 123, timeout_ms := 95000, fault := {delay_us, 3},
      arrivals := poisson, keys := {zipf, 1.1}, key_count := 77, seed := 9,
      adapter := ref_router_adapter} = Options,
    false = is_map_key(latency_ms, Options),
    true = os:putenv("PERF_KEYS", "zipf:2"),
    {ok, #{keys := {zipf, 2}}} = router_bench_settings:options().

a_merge_request_is_a_smoke_run_unless_it_says_otherwise(_Config) ->
    {ok, Gate} = router_bench_settings:options(),
    false = is_map_key(blocks, Gate),
    [begin
         true = os:putenv(Name, Value),
         {ok, #{blocks := 6}} = router_bench_settings:options(),
         true = os:putenv("PERF_MODE", "gate"),
         {ok, Full} = router_bench_settings:options(),
         false = is_map_key(blocks, Full),
         [true = os:unsetenv(N) || N <- [Name, "PERF_MODE"]]
     end || {Name, Value} <- [{"CI_PIPELINE_SOURCE", "merge_request_event"},
                              {"GITHUB_EVENT_NAME", "pull_request"}]].
