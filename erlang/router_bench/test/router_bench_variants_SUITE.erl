%% The same build under several values of one option of its adapter, all alive in one block.
-module(router_bench_variants_SUITE).

-export([all/0, suite/0]).
-export([each_value_has_a_report_of_its_own_and_all_were_alive_together/1,
         a_wait_that_a_value_brings_is_seen_in_its_figures_alone/1,
         the_load_is_what_the_slowest_serves/1,
         a_variant_that_fails_ends_the_run_and_is_named/1,
         variants_may_differ_in_their_transport_and_none_may_change_its_own/1,
         options_that_make_no_variants_are_refused/1]).

suite() ->
    [{timetrap, {minutes, 3}}].

all() ->
    [F || {F, 1} <- ?MODULE:module_info(exports), F =/= module_info].

file(Config, Name) ->
    unicode:characters_to_binary(filename:join(proplists:get_value(priv_dir, Config), Name)).

-define(VALUES, [<<"local">>, <<"nats">>, <<"nats-tls">>]).

variants(Config) ->
    #{option => <<"transport">>,
      values => [#{value => Value, report_file => file(Config, <<Value/binary, ".json">>)} || Value <- ?VALUES]}.

options(Config, More) ->
    maps:merge(#{adapter => bus_adapter, variants => variants(Config), blocks => 2, warmup_ms => 20,
                 throughput_ms => 60, latency_ms => 120, slice_ms => 10, rate_per_second => 1000,
                 concurrency => 2, drain_timeout_ms => 300, quiet => true}, More).

run(Config, More) ->
    router_bench:run(options(Config, More)).

says(Text, Expected) ->
    string:find(Text, Expected) =/= nomatch.

each_value_has_a_report_of_its_own_and_all_were_alive_together(Config) ->
    Case = self(),
    {ok, #{env := #{transport := <<"nats-tls">>}, blocks := [_, _]} = Last} =
        run(Config, #{quiet => false, progress => fun(Event) -> Case ! {told, Event} end}),
    false = is_map_key(pairing, Last),
    [begin
         {ok, Json} = file:read_file(file(Config, <<Value/binary, ".json">>)),
         true = says(Json, "\"blocks\": 2"),
         {match, Found} = re:run(Json, "\"transport\": \"([^\"]*)\"", [global, {capture, [1], binary}]),
         Names = lists:append(Found),
         % The option of the load, and what env says of a transport that is one.
         Names = [Value | [Value || Value =/= <<"local">>]]
     end || Value <- ?VALUES],
    Told = (fun All() -> receive {told, Event} -> [Event | All()] after 0 -> [] end end)(),
    [1, 2] = [N || {measured, N, [{{variant, _, <<"local">>}, _}, {{variant, _, <<"nats">>}, _},
                                  {{variant, _, <<"nats-tls">>}, _}]} <- Told],
    % Booted once a block, and not one after the other.
    [1, 2] = [N || {step, #{activity := boot, block := N}} <- Told].

%% By the clock, so the least that it can be is certain.
a_wait_that_a_value_brings_is_seen_in_its_figures_alone(Config) ->
    Case = self(),
    {ok, _} = run(Config, #{blocks => 1, progress => fun(Event) -> Case ! {told, Event} end}),
    [Local, Nats, Tls] = receive {told, {measured, 1, Sides}} -> [P95 || {_, #{latency_p95_ms := P95}} <- Sides] end,
    true = Nats >= 0.1,
    true = Tls >= 0.2,
    true = is_number(Local).

the_load_is_what_the_slowest_serves(Config) ->
    % A wait of 200 us on a worker: so many a second at most, for each of its workers.
    {ok, #{load := #{calibration_rps := Rps, rate_per_second := Rate, concurrency := Workers}}} =
        run(Config, #{blocks => 1, rate_per_second => calibrate, concurrency => calibrate}),
    true = Rps =< 5000 * Workers,
    Rate = router_bench_calibration:rate(Rps).

a_variant_that_fails_ends_the_run_and_is_named(Config) ->
    #{values := [Local, Nats, _]} = Variants = variants(Config),
    {error, {failed, Reason, #{blocks := []}}} =
        run(Config, #{variants => Variants#{values := [Local, Nats, Nats#{value := <<"rabbit">>,
                                                                          report_file := none}]}}),
    true = says(Reason, "while the router's counters were tried, transport = rabbit: init/1 of bus_adapter"),
    {ok, Json} = file:read_file(file(Config, "nats.json")),
    true = says(Json, "\"status\": \"failed\"").

variants_may_differ_in_their_transport_and_none_may_change_its_own(Config) ->
    Says = {another_after, file(Config, "variant_went_another_way")},
    {error, {failed, Reason, _}} = run(Config, #{adapter_options => #{says => Says}, control => false}),
    true = says(Reason, "another transport").

options_that_make_no_variants_are_refused(Config) ->
    #{values := [Local, Nats, _]} = Variants = variants(Config),
    [begin
         {error, {bad_option, variants, _, _} = Reason} =
             router_bench_plan:new(options(Config, #{variants => Bad})),
         true = says(router_bench_plan:message(Reason), Expected)
     end || {Bad, Expected} <- [{#{}, "2 to 8 values"},
                                {Variants#{values := [Local]}, "2 to 8 values"},
                                {Variants#{values := lists:duplicate(9, Local)}, "2 to 8 values"},
                                {Variants#{option := <<>>}, "2 to 8 values"},
                                {Variants#{more => 1}, "2 to 8 values"},
                                {Variants#{values := [Local, Local#{report_file := none}]}, "values that differ"},
                                {Variants#{values := [Local, Nats#{value := 1.5}]}, "values that differ"},
                                {Variants#{values := [Local, Local#{value := <<"x">>}]}, "report_file of its own"},
                                {Variants#{values := [Local, #{value => <<"x">>}]}, "report_file of its own"}]],
    Replay = #{lib_dir => "x", report_file => "y", commit => binary:copy(<<"a">>, 40)},
    {error, {bad_option, variants, _, "no replay besides"}} =
        router_bench_plan:new(options(Config, #{replay => Replay})).
