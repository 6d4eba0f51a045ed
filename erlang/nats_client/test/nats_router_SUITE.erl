%% @doc The reference router behind a real server, through its adapter.
-module(nats_router_SUITE).

-export([all/0, suite/0, init_per_suite/1, end_per_suite/1]).
-export([requests_are_answered_through_the_server/1, what_the_router_refuses_comes_back_as_it_is/1,
         two_routers_share_nothing/1, a_full_bus_is_backpressure/1, what_is_no_message_harms_nobody/1,
         what_comes_from_a_bus_is_nobodys_word/1, a_server_that_is_not_there_is_named/1,
         a_server_that_dies_leaves_no_request_unanswered/1, a_worker_that_dies_takes_the_bus_along/1,
         a_server_that_stood_still_is_an_outage_and_no_error_of_the_run/1,
         a_server_that_was_killed_and_started_again_is_an_outage/1,
         drivers_reach_routers_through_the_server/1, what_a_drivers_connection_lost_is_in_the_report/1,
         a_driver_without_a_server_is_named/1]).
%% An adapter whose outage is a killed server.
-export([init/1, request/2, route/2, counters/1, terminate/1, outage/1, transport/1, faults/0]).
-export([connect/2, connection_counters/1, disconnect/1]).
-behaviour(router_bench_adapter).

suite() -> [{timetrap, {seconds, 90}}].

all() ->
    Callbacks = [init, counters, terminate, outage, transport, connection_counters, disconnect],
    [F || {F, 1} <- ?MODULE:module_info(exports),
          not lists:member(F, [module_info, init_per_suite, end_per_suite | Callbacks])].

init_per_suite(Config) ->
    Dir = fun(Name) -> filename:join(proplists:get_value(priv_dir, Config), Name) end,
    [{plain, nats_test_server:start(Dir("plain"), [])},
     {tls, nats_test_server:start(Dir("tls"), ["--tls"])} | Config].

end_per_suite(Config) ->
    ok = nats_test_server:stop(proplists:get_value(plain, Config)),
    ok = nats_test_server:stop(proplists:get_value(tls, Config)).

requests_are_answered_through_the_server(Config) ->
    [with_router(Config, Transport, #{}, fun(State) ->
         Answers = [ask(N, State) || N <- lists:seq(1, 100)],
         [true = is_map_key(provider, Decision) || {ok, Decision} <- Answers],
         100 = length([ok || {ok, _} <- Answers]),
         #{routed_total := 100, errors_total := 0} = ref_router:counters(),
         #{errors_total := 0, backpressure_active_total := 0, backpressure_active := false} =
             ref_router_adapter:counters(State),
         [true = is_pid(whereis(Name)) || Name <- ref_router_adapter:processes(State)],
         transport(Transport, ref_router_adapter:transport(State))
     end) || Transport <- [<<"nats">>, <<"nats-tls">>]].

transport(<<"nats">>, Told) ->
    #{name := <<"nats">>, server := <<"nats-server ", _/binary>>} = Told,
    2 = map_size(Told);
transport(<<"nats-tls">>, Told) ->
    #{name := <<"nats-tls">>, server := <<"nats-server ", _/binary>>, tls_version := <<"TLSv1.", _/binary>>,
      tls_cipher := <<"TLS_", _/binary>>} = Told.

what_the_router_refuses_comes_back_as_it_is(Config) ->
    with_router(Config, <<"nats">>, #{}, fun(State) ->
        {error, unknown_tenant} = ref_router_adapter:control(errors_total, State),
        #{errors_total := 1} = ref_router_adapter:counters(State),
        _ = ref_router_adapter:control(backpressure_active_total, State),
        #{backpressure_active_total := 1} = ref_router_adapter:counters(State),
        ok = configure_one_a_second(),
        Message = ref_router_adapter:request(0, State),
        {ok, _} = ref_router_adapter:route(Message, State),
        {rejected, rate_limited} = ref_router_adapter:route(Message, State),
        % It outlives the application.
        ok = ref_router:configure(#{})
    end).

configure_one_a_second() ->
    #{policies := Policies} = ref_router_config:defaults(),
    Slow = maps:map(fun(_, Policy) -> Policy#{rate_per_second => 1, burst => 1} end, Policies),
    ref_router:configure(#{policies => Slow}).

%% Another BEAM's requests never reach this one.
two_routers_share_nothing(Config) ->
    with_router(Config, <<"nats">>, #{}, fun(#{bus := #{subject := Subject}} = State) ->
        ok = ref_router_nats:stop(),
        {ok, #{subject := Other}} = another(Config),
        true = Subject =/= Other,
        Port = nats_test_server:port(proplists:get_value(plain, Config)),
        {ok, Connection} = nats_client:connect(#{port => Port}),
        {error, no_responders} = nats_client:request(Connection, Subject, <<>>, 1000),
        ok = nats_client:close(Connection),
        {error, closed} = ask(0, State)
    end).

another(Config) ->
    ref_router_nats:start(#{dir => maps:get(dir, proplists:get_value(plain, Config)), tls => false,
                            instance => 2, timeout_ms => 1000, max_in_flight => 10, workers => 2,
                            route => fun ref_router:route/1}).

ask(N, State) ->
    ref_router_adapter:route(ref_router_adapter:request(N, State), State).

a_full_bus_is_backpressure(Config) ->
    with_router(Config, <<"nats">>, #{<<"nats_max_in_flight">> => 4}, fun(State) ->
        % Nobody serves meanwhile, so that requests stay under way.
        Workers = workers(),
        [true = erlang:suspend_process(Worker) || Worker <- Workers],
        Test = self(),
        Callers = [spawn_link(fun() -> Test ! {self(), ask(N, State)} end) || N <- lists:seq(1, 10)],
        Rejected = fun() -> maps:get(rejected, ref_router_nats:counters(maps:get(bus, State))) end,
        true = until(fun() -> Rejected() =:= 6 end),
        #{backpressure_active_total := 1, backpressure_active := true} = ref_router_adapter:counters(State),
        [true = erlang:resume_process(Worker) || Worker <- Workers],
        Answers = [receive {Caller, Answer} -> Answer end || Caller <- Callers],
        4 = length([ok || {ok, _} <- Answers]),
        6 = length([rejected || {rejected, backpressure} <- Answers]),
        #{backpressure_active_total := 1, backpressure_active := false, errors_total := 0} =
            ref_router_adapter:counters(State)
    end).

what_is_no_message_harms_nobody(Config) ->
    with_router(Config, <<"nats">>, #{}, fun(#{bus := Bus} = State) ->
        #{connection := Connection, subject := Subject} = Bus,
        [begin
             {ok, Reply} = nats_client:request(Connection, Subject, Bytes, 5000),
             {error, damaged} = ref_router_wire:decode_outcome(Reply)
         end || Bytes <- [<<>>, <<1>>, <<2, 0:800>>, rand:bytes(100), rand:bytes(1000000)]],
        ok = nats_client:publish(Connection, Subject, <<"nobody waits">>),
        {ok, _} = ask(0, State)
    end).

what_comes_from_a_bus_is_nobodys_word(_Config) ->
    Message = #{tenant => <<"acme">>, session => <<"s">>, payload => #{number => 1}},
    {ok, #{tenant := <<"acme">>, session := <<"s">>, payload := Payload}} =
        ref_router_wire:decode_message(ref_router_wire:encode_message(Message)),
    #{number := 1} = binary_to_term(Payload),
    Bytes = ref_router_wire:encode_message(Message),
    Decision = #{provider => alpha, policy => spread, reason => {fallback, {open, bravo}}, attempts => 2},
    Outcomes = [{ok, Decision},
                {rejected, overloaded}, {error, {no_provider, {failed, alpha}}}],
    Encoded = [ref_router_wire:encode_outcome(Outcome) || Outcome <- Outcomes],
    Outcomes = [ref_router_wire:decode_outcome(One) || One <- Encoded],
    Before = erlang:system_info(atom_count),
    [begin
         Damaged = damaged(What),
         _ = ref_router_wire:decode_message(Damaged),
         _ = ref_router_wire:decode_outcome(Damaged)
     end || _ <- lists:seq(1, 2000), What <- [Bytes | Encoded]],
    % An atom that this VM does not know, as text in the external term format.
    New = rand:bytes(8),
    {error, damaged} = ref_router_wire:decode_outcome(<<1, 131, 119, 16, (binary:encode_hex(New))/binary>>),
    Before = erlang:system_info(atom_count).

damaged(Bytes) ->
    At = rand:uniform(byte_size(Bytes)) - 1,
    <<Head:At/binary, Byte, Tail/binary>> = Bytes,
    case rand:uniform(3) of
        1 -> <<Head/binary, (Byte bxor rand:uniform(255)), Tail/binary>>;
        2 -> Head;
        3 -> <<Head/binary, Byte, Byte, Tail/binary>>
    end.

a_server_that_is_not_there_is_named(Config) ->
    Dir = filename:join(proplists:get_value(priv_dir, Config), "none"),
    {error, {adapter_failed, {ref_router_adapter, init, 1},
             {error, {no_server, _, enoent, start_it_with, 'scripts/nats.sh start'}}}} =
        routed(#{<<"transport">> => <<"nats">>, <<"nats_dir">> => list_to_binary(Dir)}, fun(_) -> ok end),
    {error, {adapter_failed, _, {error, {unknown_transport, <<"pigeon">>, _, _}}}} =
        routed(#{<<"transport">> => <<"pigeon">>}, fun(_) -> ok end).

%% The bench's own books: every request that was sent ended as one of four.
a_server_that_dies_leaves_no_request_unanswered(Config) ->
    Server = nats_test_server:start(filename:join(proplists:get_value(priv_dir, Config), "dies"), []),
    with_router([{plain, Server}], <<"nats">>, #{<<"nats_timeout_ms">> => 1000}, fun(State) ->
        Tally = router_bench_outcome:new(),
        Answered = counters:new(1, []),
        Test = self(),
        Callers = [spawn_link(fun() -> drive(State, Tally, Answered), Test ! {done, self()} end)
                   || _ <- lists:seq(1, 16)],
        Reached = fun(N) -> until(fun() -> counters:get(Answered, 1) > N end) end,
        true = Reached(100),
        ok = nats_test_server:kill(Server),
        true = until(fun() -> maps:get(error, router_bench_outcome:counts(Tally)) > 100 end),
        ok = nats_test_server:restart(Server),
        true = Reached(counters:get(Answered, 1) + 100),
        [Caller ! stop || Caller <- Callers],
        [receive {done, Caller} -> ok after 30000 -> error(hang) end || Caller <- Callers],
        Counts = router_bench_outcome:counts(Tally),
        {ok, Books} = router_bench_outcome:accounting(Counts, counters:get(Answered, 1), 0, 0),
        #{error := Errors, timeout := Timeouts, rejected := 0} = Books,
        #{errors_total := Total} = ref_router_adapter:counters(State),
        Total = Errors + Timeouts,
        ct:pal("~p~n~p", [Books, router_bench_outcome:reasons(Tally)]),
        [] = [Reason || #{reason := Reason} <- router_bench_outcome:reasons(Tally),
                        not lists:member(Reason, [<<"disconnected">>, <<"timeout">>, <<"no_responders">>])]
    end),
    ok = nats_test_server:stop(Server).

drive(State, Tally, Answered) ->
    receive
        stop -> ok
    after 0 ->
        ok = router_bench_outcome:sent(Tally),
        case router_bench_outcome:route(ref_router_adapter, ref_router_adapter:request(1, State), State) of
            ok -> counters:add(Answered, 1, 1);
            Failure -> router_bench_outcome:count(Tally, Failure), timer:sleep(1)
        end,
        drive(State, Tally, Answered)
    end.

a_worker_that_dies_takes_the_bus_along(Config) ->
    with_router(Config, <<"nats">>, #{<<"nats_timeout_ms">> => 500}, fun(State) ->
        Monitor = monitor(process, ref_router_nats),
        exit(hd(workers()), kill),
        receive {'DOWN', Monitor, process, _, {worker_ended, killed}} -> ok end,
        {error, closed} = ask(0, State),
        % For the adapter to stop it.
        {ok, _} = another(Config)
    end).

workers() ->
    {links, Links} = process_info(whereis(ref_router_nats), links),
    Links.

until(Condition) -> until(Condition, 1000).

until(Condition, Looks) ->
    Condition() orelse (Looks > 0 andalso begin timer:sleep(10), until(Condition, Looks - 1) end).

with_router(Config, Transport, More, Test) ->
    Kind = case Transport of
               <<"nats">> -> plain;
               <<"nats-tls">> -> tls
           end,
    Dir = unicode:characters_to_binary(maps:get(dir, proplists:get_value(Kind, Config))),
    {ok, done} = routed(More#{<<"transport">> => Transport, <<"nats_dir">> => Dir}, Test),
    undefined = whereis(ref_router_nats).

routed(Options, Test) ->
    {ok, Plan} = router_bench_plan:new(#{adapter => ref_router_adapter, adapter_options => Options}),
    router_bench_router:with(Plan, fun(State) -> _ = Test(State), {ok, done} end).

%% Through the whole bench: the books of all three loops balance, and what an outage cost is in its own.
a_server_that_stood_still_is_an_outage_and_no_error_of_the_run(Config) ->
    Server = nats_test_server:start(filename:join(proplists:get_value(priv_dir, Config), "still"), []),
    #{error := 0, timeout := 0, skipped := Skipped, rejected := Rejected} =
        outcomes_of_an_outage(ref_router_adapter, Server),
    % As many requests wait as there are permits.
    true = Skipped + Rejected > 0,
    % It goes on.
    {ok, Connection} = nats_client:connect(#{port => nats_test_server:port(Server)}),
    ok = nats_client:round_trip(Connection, 5000),
    ok = nats_client:close(Connection),
    ok = nats_test_server:stop(Server).

a_server_that_was_killed_and_started_again_is_an_outage(Config) ->
    Server = nats_test_server:start(filename:join(proplists:get_value(priv_dir, Config), "killed"), []),
    ok = file:write_file(filename:join(proplists:get_value(priv_dir, Config), "killed_server"),
                         term_to_binary(maps:remove(guard, Server))),
    #{error := Errors} = outcomes_of_an_outage(?MODULE, Server),
    true = Errors > 0,
    ok = nats_test_server:stop(Server).

outcomes_of_an_outage(Adapter, #{dir := Dir}) ->
    Options = #{<<"transport">> => <<"nats">>, <<"nats_dir">> => unicode:characters_to_binary(Dir),
                <<"nats_max_in_flight">> => 64},
    {ok, #{metrics := Metrics, blocks := [#{accounting := Accounting, recovery := Recovery}], env := Env} = Report} =
        router_bench:run(#{adapter => Adapter, adapter_options => Options, blocks => 1, warmup_ms => 100,
                           throughput_ms => 200, latency_ms => 1000, rate_per_second => 500, concurrency => 4,
                           control => false, outage_ms => 400, outage_tolerance_pct => 1000000, quiet => true}),
    #{transport := <<"nats">>} = Env,
    #{errors_total := 0, requests_lost := Lost} = Metrics,
    [#{error := 0, timeout := 0} = maps:get(Loop, Accounting) || Loop <- [throughput, latency]],
    #{recovery := #{offered := Offered, ok := Ok, error := Error, timeout := Timeout, rejected := Rejected,
                    skipped := Skipped} = Outcomes} = Accounting,
    Offered = Ok + Error + Timeout + Rejected + Skipped,
    true = Lost == Offered - Ok,
    #{windows := Windows} = Recovery,
    Offered = lists:sum([N || #{offered := N} <- Windows]),
    ct:pal("~p~n~p~n~p", [Metrics, Outcomes, maps:get(reasons, Recovery, [])]),
    {ok, _} = router_bench_nif:report_encode(Report),
    Outcomes.

%% Two drivers, two routers, each with a connection of its own.
drivers_reach_routers_through_the_server(Config) ->
    [begin
         {ok, #{env := #{transport := Transport, transport_server := <<"nats-server ", _/binary>>} = Env,
                load := #{drivers := 2, routers := 2},
                metrics := #{errors_total := 0, backpressure_active_total := 0},
                blocks := [#{accounting := #{latency := #{offered := 200, ok := 200}},
                             nodes := #{drivers := Drivers, routers := [_, _] = Routers}}]} = Report} =
             driven(Transport, Kind, Config, #{routers => 2}, #{}),
         IsTls = Kind =:= tls,
         IsTls = is_map_key(transport_tls_version, Env),
         [#{router := 0} = maps:get(Key, Node) || Node <- Drivers ++ Routers, Key <- [errors, backpressure]],
         {ok, _} = router_bench_nif:report_encode(Report),
         % Nobody is connected any more.
         true = until(fun() -> connections(proplists:get_value(Kind, Config)) =:= <<"0">> end)
     end || {Transport, Kind} <- [{<<"nats">>, plain}, {<<"nats-tls">>, tls}]].

connections(Server) ->
    {match, [Count]} = re:run(nats_test_server:monitor(Server, "varz"), "\"connections\": ([0-9]+)",
                              [{capture, all_but_first, binary}]),
    Count.

what_a_drivers_connection_lost_is_in_the_report(Config) ->
    Lost = fun(Key, #{blocks := [#{nodes := #{drivers := Drivers, routers := Routers}} = Block]}) ->
                   Of = fun(Nodes) -> lists:sum([Count || #{Key := #{router := Count}} <- Nodes]) end,
                   #{Key := #{router := Sum}} = Block,
                   Sum = Of(Drivers) + Of(Routers),
                   {Of(Drivers), Of(Routers)}
           end,
    % The router stands still for longer than anybody waits, each second.
    {ok, #{accounting := Accounting} = Late} =
        driven(<<"nats">>, plain, Config, #{fault => {stall_ms, 400}, throughput_ms => 1100, latency_ms => 1100,
                                            rate_per_second => 100}, #{<<"nats_timeout_ms">> => 100}),
    Timeouts = lists:sum([Timeout || #{timeout := Timeout} <- maps:values(Accounting)]),
    true = Timeouts > 0,
    {Timeouts, 0} = Lost(errors, Late),
    % A permit for each driver, which a request has for longer than it takes until the next arrives.
    {ok, #{accounting := #{latency := #{rejected := Rejected}}} = Full} =
        driven(<<"nats">>, plain, Config, #{fault => {delay_us, 20000}, rate_per_second => 400, concurrency => 2},
               #{<<"nats_max_in_flight">> => 2}),
    true = Rejected > 0,
    {Edges, 0} = Lost(backpressure, Full),
    true = Edges > 0,
    {0, 0} = Lost(errors, Full).

a_driver_without_a_server_is_named(Config) ->
    Gone = filename:join(proplists:get_value(priv_dir, Config), "driver_has_none"),
    {error, {failed, Text, _}} = driven(<<"nats">>, plain, Config, #{}, #{<<"driver_nats_dir">> => list_to_binary(Gone)}),
    {match, _} = re:run(Text, "driver 1 of 2 .local.*no_server").

driven(Transport, Kind, Config, More, AdapterOptions) ->
    Dir = unicode:characters_to_binary(maps:get(dir, proplists:get_value(Kind, Config))),
    router_bench:run(maps:merge(#{adapter => ?MODULE, nodes => [local, local], blocks => 1, warmup_ms => 20,
                                  throughput_ms => 60, latency_ms => 200, slice_ms => 50, rate_per_second => 1000,
                                  concurrency => 4, control => false, drain_timeout_ms => 5000, quiet => true,
                                  adapter_options => maps:merge(#{<<"transport">> => Transport, <<"nats_dir">> => Dir},
                                                                AdapterOptions)}, More)).

%% The adapter's callbacks, in the measured BEAM: what it starts ends with it, so the server is started again
%% with an environment that nobody knows it by.
init(Options) -> ref_router_adapter:init(Options).
request(N, State) -> ref_router_adapter:request(N, State).
route(Request, State) -> ref_router_adapter:route(Request, State).
counters(State) -> ref_router_adapter:counters(State).
terminate(State) -> ref_router_adapter:terminate(State).
transport(State) -> ref_router_adapter:transport(State).
faults() -> ref_router_adapter:faults().
connection_counters(State) -> ref_router_adapter:connection_counters(State).
disconnect(State) -> ref_router_adapter:disconnect(State).

%% On another machine a driver would find no server in that directory.
connect(Routers, Options) ->
    Dir = maps:get(<<"driver_nats_dir">>, Options, maps:get(<<"nats_dir">>, Options)),
    ref_router_adapter:connect(Routers, Options#{<<"nats_dir">> => Dir}).

outage(#{bus := #{dir := Dir}}) ->
    {ok, Term} = file:read_file(filename:join(filename:dirname(Dir), "killed_server")),
    Server = binary_to_term(Term),
    ok = nats_test_server:kill(Server),
    {ended_by, fun() ->
                       true = os:unsetenv("ROUTER_BENCH_PEER"),
                       nats_test_server:restart(Server)
               end}.
