%% @doc The NATS client against a real server of its own.
-module(nats_client_SUITE).

-include_lib("public_key/include/public_key.hrl").

-export([all/0, suite/0, init_per_suite/1, end_per_suite/1, init_per_testcase/2, end_per_testcase/2]).
-export([a_request_is_replied_to/1, of_a_queue_group_each_message_goes_to_one/1,
         a_payload_may_be_as_long_as_the_server_says/1,
         a_subject_that_is_none_is_refused/1, permits_run_out_and_come_back/1,
         a_late_reply_reaches_nobody/1, an_owner_gets_no_more_than_its_credit/1,
         a_slow_consumer_costs_its_own_messages/1, a_killed_caller_leaves_nothing_under_way/1,
         a_killed_member_leaves_the_group/1, a_connection_ends_with_its_maker/1,
         a_drain_finishes_what_is_under_way/1,
         what_the_server_says_is_no_atom/1, options_that_are_wrong_are_named/1,
         tls_is_what_the_server_says_it_is/1, a_server_of_another_authority_is_refused/1,
         a_server_of_another_name_is_refused/1, an_expired_server_is_refused/1,
         who_shows_no_certificate_is_refused/1, nobody_speaks_old_tls/1,
         a_killed_server_comes_back/1, a_cut_connection_is_made_again/1,
         a_server_that_is_gone_leaves_nobody_waiting/1,
         the_module_may_be_purged_and_loaded/1, a_vm_halts_with_open_connections/1,
         without_a_library_the_cure_is_named/1, the_script_says_what_there_is/1]).
-export([halts/1]).

all() ->
    [F || {F, 1} <- ?MODULE:module_info(exports),
          not lists:member(F, [module_info, init_per_suite, end_per_suite, halts])].

suite() -> [{timetrap, {seconds, 60}}].

init_per_suite(Config) ->
    {ok, _} = application:ensure_all_started(ssl),
    Dir = fun(Name) -> filename:join(proplists:get_value(priv_dir, Config), Name) end,
    [{plain, nats_test_server:start(Dir("plain"), [])},
     {tls, nats_test_server:start(Dir("tls"), ["--tls", "--jetstream"])} | Config].

end_per_suite(Config) ->
    ok = nats_test_server:stop(proplists:get_value(plain, Config)),
    ok = nats_test_server:stop(proplists:get_value(tls, Config)).

init_per_testcase(_Test, Config) ->
    _ = put(connections, []),
    Config.

%% Whatever a test did, no thread and no message of it stays.
end_per_testcase(_Test, _Config) ->
    [ok = nats_client:close(Connection) || Connection <- get(connections)],
    case until(fun() -> threads() =:= 0 end) of
        true -> ok;
        false -> {fail, {threads_left, threads()}}
    end.

a_request_is_replied_to(Config) ->
    Connection = connected(Config),
    ok = nats_client:round_trip(Connection, 5000),
    {error, no_responders} = nats_client:request(Connection, <<"nobody">>, <<"x">>, 5000),
    _ = echo(Connection, <<"echo">>, none),
    Bodies = [<<>>, <<0>>, <<"text">>, rand:bytes(65536)],
    [{ok, Body} = nats_client:request(Connection, <<"echo">>, Body, 5000) || Body <- Bodies],
    #{state := connected, connects := 1, server_version := <<_, _/binary>>} = nats_client:info(Connection),
    #{requests := 7, replied := 6, errors := 1, in_flight := 0, disconnects := 0} = balanced(Connection),
    ok = nats_client:close(Connection).

of_a_queue_group_each_message_goes_to_one(Config) ->
    Connection = connected(Config),
    Members = [echo(connected(Config), <<"shared">>, <<"group">>) || _ <- [1, 2]],
    [{ok, <<N:32>>} = nats_client:request(Connection, <<"shared">>, <<N:32>>, 5000)
     || N <- lists:seq(1, 200)],
    [One, Two] = [echoed(Member) || Member <- Members],
    200 = One + Two,
    true = One > 0 andalso Two > 0,
    ok = nats_client:close(Connection).

a_payload_may_be_as_long_as_the_server_says(Config) ->
    Connection = connected(Config),
    #{max_payload := 1048576} = nats_client:info(Connection),
    _ = echo(Connection, <<"echo">>, none),
    Body = rand:bytes(1048576),
    {ok, Body} = nats_client:request(Connection, <<"echo">>, Body, 10000),
    Longer = <<Body/binary, 0>>,
    {error, {max_payload, 1048576}} = nats_client:request(Connection, <<"echo">>, Longer, 5000),
    {error, {max_payload, 1048576}} = nats_client:publish(Connection, <<"echo">>, Longer),
    {ok, <<"short">>} = nats_client:request(Connection, <<"echo">>, <<"short">>, 5000),
    #{errors := 1, replied := 3, disconnects := 0} = balanced(Connection),
    ok = nats_client:close(Connection).

a_subject_that_is_none_is_refused(Config) ->
    Connection = connected(Config),
    [begin
         {error, invalid_subject} = nats_client:request(Connection, Subject, <<>>, 5000),
         {error, invalid_subject} = nats_client:publish(Connection, Subject, <<>>),
         {error, invalid_subject} = nats_client:publish(Connection, <<"good">>, Subject, <<>>),
         {error, invalid_subject} = nats_client:subscribe(Connection, Subject, #{})
     end || Subject <- [<<>>, <<"a b">>, <<"a\r\nPUB b 0\r\n">>, <<"a\tb">>]],
    {error, invalid_subject} = nats_client:subscribe(Connection, <<"a">>, #{queue_group => <<"b\r\nc">>}),
    badarg = tried(fun() -> nats_client:publish(Connection, <<255>>, <<>>) end),
    badarg = tried(fun() -> nats_client:subscribe(Connection, <<"a">>, #{credit => 0}) end),
    ok = nats_client:round_trip(Connection, 5000),
    ok = nats_client:close(Connection).

permits_run_out_and_come_back(Config) ->
    Connection = connected(Config, #{max_in_flight => 8}),
    Mute = mute(connected(Config), <<"mute">>),
    Wave = fun() -> outcomes([fun() -> ask(Connection, <<"mute">>, 1000) end || _ <- lists:seq(1, 20)]) end,
    #{timeout := 8, rejected := 12} = Wave(),
    #{backpressure_active_total := 1, backpressure_active := false} = balanced(Connection),
    #{timeout := 8, rejected := 12} = Wave(),
    #{backpressure_active_total := 2, backpressure_active := false, requests := 40, rejected := 24,
      timeouts := 16, in_flight := 0} = balanced(Connection),
    exit(Mute, kill),
    ok = nats_client:close(Connection).

a_late_reply_reaches_nobody(Config) ->
    Connection = connected(Config),
    Test = self(),
    Slow = spawn_link(fun() ->
        Own = connected(Config),
        {ok, {Reference, _}} = nats_client:subscribe(Own, <<"slow">>, #{}),
        Test ! up,
        ReplyTo = receive {nats_message, Reference, _, To, _} -> To end,
        receive go -> ok end,
        ok = nats_client:publish(Own, ReplyTo, <<"late">>),
        ok = nats_client:round_trip(Own, 5000),
        Test ! sent
    end),
    receive up -> ok end,
    {error, timeout} = nats_client:request(Connection, <<"slow">>, <<>>, 50),
    Slow ! go,
    receive sent -> ok end,
    true = until(fun() -> maps:get(late, nats_client:counters(Connection)) =:= 1 end),
    #{timeouts := 1, in_flight := 0} = balanced(Connection),
    {messages, []} = process_info(self(), messages),
    ok = nats_client:close(Connection).

an_owner_gets_no_more_than_its_credit(Config) ->
    Connection = connected(Config),
    {ok, {Reference, _} = Subscription} = nats_client:subscribe(Connection, <<"many">>, #{credit => 5}),
    [ok = nats_client:publish(Connection, <<"many">>, <<N>>) || N <- lists:seq(1, 50)],
    ok = nats_client:round_trip(Connection, 5000),
    Next = fun() ->
                   receive {nats_message, Reference, <<"many">>, nil, <<N>>} -> N
                   after 100 -> none
                   end
           end,
    [1, 2, 3, 4, 5, none] = [Next() || _ <- lists:seq(1, 6)],
    ok = nats_client:acknowledge(Subscription, 2),
    [6, 7, none] = [Next() || _ <- lists:seq(1, 3)],
    % More than there were is no more.
    ok = nats_client:acknowledge(Subscription, 1000000),
    [8, 9, 10, 11, 12, none] = [Next() || _ <- lists:seq(1, 6)],
    ok = nats_client:unsubscribe(Subscription),
    receive {nats_subscription_ended, Reference} -> ok end,
    ok = nats_client:close(Connection).

a_slow_consumer_costs_its_own_messages(Config) ->
    Slow = connected(Config, #{buffer => 16, max_in_flight => 16}),
    Connection = connected(Config),
    {ok, {Reference, _}} = nats_client:subscribe(Slow, <<"flood">>, #{credit => 1}),
    Sent = [nats_client:publish(Connection, <<"flood">>, rand:bytes(1000)) || _ <- lists:seq(1, 2000)],
    ok = nats_client:round_trip(Connection, 5000),
    ok = nats_client:round_trip(Slow, 5000),
    #{dropped := Dropped, delivered := 1, disconnects := 0} = nats_client:counters(Slow),
    true = Dropped > 0,
    receive {nats_message, Reference, _, _, _} -> ok end,
    receive {nats_message, Reference, _, _, _} -> error(beyond_credit) after 50 -> ok end,
    % The publisher is told what was not taken; what was taken is sent.
    #{published := Published, publish_rejected := Rejected} = nats_client:counters(Connection),
    Published = length([ok || ok <- Sent]),
    Rejected = 2000 - Published,
    [] = lists:usort(Sent) -- [ok, {rejected, backpressure}],
    ok = nats_client:close(Slow),
    ok = nats_client:close(Connection).

a_killed_caller_leaves_nothing_under_way(Config) ->
    Connection = connected(Config),
    Mute = mute(connected(Config), <<"mute">>),
    Callers = [spawn(fun() -> ask(Connection, <<"mute">>, 60000) end) || _ <- lists:seq(1, 30)],
    true = until(fun() -> maps:get(in_flight, nats_client:counters(Connection)) =:= 30 end),
    [exit(Caller, kill) || Caller <- Callers],
    true = until(fun() -> maps:get(in_flight, nats_client:counters(Connection)) =:= 0 end),
    #{requests := 30, abandoned := 30} = balanced(Connection),
    exit(Mute, kill),
    ok = nats_client:close(Connection).

a_killed_member_leaves_the_group(Config) ->
    Connection = connected(Config),
    Serving = connected(Config),
    One = echo(Serving, <<"shared">>, <<"group">>),
    Two = echo(Serving, <<"shared">>, <<"group">>),
    exit(One, kill),
    % The server hears of it a moment later.
    true = until(fun() ->
                         Answers = [ask(Connection, <<"shared">>, 200) || _ <- lists:seq(1, 20)],
                         [{ok, <<>>}] =:= lists:usort(Answers)
                 end),
    exit(Two, kill),
    true = until(fun() -> {error, no_responders} =:= ask(Connection, <<"shared">>, 200) end),
    [ok = nats_client:close(C) || C <- [Serving, Connection]].

a_connection_ends_with_its_maker(Config) ->
    Test = self(),
    Maker = spawn(fun() -> Test ! {made, connected(Config)}, receive stay -> ok end end),
    Connection = receive {made, Made} -> Made end,
    ok = nats_client:round_trip(Connection, 5000),
    1 = threads(),
    exit(Maker, kill),
    true = until(fun() -> threads() =:= 0 end),
    #{state := closed} = nats_client:info(Connection),
    {error, closed} = nats_client:request(Connection, <<"any">>, <<>>, 5000),
    {error, closed} = nats_client:publish(Connection, <<"any">>, <<>>),
    {error, closed} = nats_client:subscribe(Connection, <<"any">>, #{}),
    {error, closed} = nats_client:drain(Connection, 1000),
    ok = nats_client:close(Connection),
    % And with its last term.
    {Pid, Monitor} = spawn_monitor(fun() ->
        _ = connected(Config),
        erlang:garbage_collect(),
        true = until(fun() -> threads() =:= 0 end)
    end),
    receive {'DOWN', Monitor, process, Pid, Reason} -> normal = Reason end.

a_drain_finishes_what_is_under_way(Config) ->
    Connection = connected(Config),
    Serving = connected(Config),
    Test = self(),
    spawn_link(fun() ->
        {ok, {Reference, _} = Subscription} = nats_client:subscribe(Serving, <<"slow">>, #{}),
        Test ! up,
        slow(Serving, Subscription, Reference)
    end),
    receive up -> ok end,
    Requests = [fun() -> ask(Connection, <<"slow">>, 20000) end || _ <- lists:seq(1, 20)],
    spawn_link(fun() -> Test ! {outcomes, outcomes(Requests)} end),
    true = until(fun() -> maps:get(in_flight, nats_client:counters(Connection)) =:= 20 end),
    ok = nats_client:round_trip(Serving, 5000),
    % The serving side first: it takes nothing new, and answers what it has.
    ok = nats_client:drain(Serving, 10000),
    ok = nats_client:drain(Connection, 10000),
    receive {outcomes, Outcomes} -> #{ok := 20} = Outcomes end,
    {error, closed} = nats_client:request(Connection, <<"slow">>, <<>>, 100),
    #{replied := 20} = balanced(Connection),
    % What cannot end in time is cut off, and told.
    Stuck = connected(Config),
    Mute = mute(connected(Config), <<"mute">>),
    spawn_link(fun() -> Test ! {stuck, nats_client:request(Stuck, <<"mute">>, <<>>, 60000)} end),
    true = until(fun() -> maps:get(in_flight, nats_client:counters(Stuck)) =:= 1 end),
    {error, timeout} = nats_client:drain(Stuck, 50),
    receive {stuck, Outcome} -> {error, closed} = Outcome end,
    exit(Mute, kill).

slow(Serving, Subscription, Reference) ->
    receive
        {nats_message, Reference, _, ReplyTo, _} ->
            timer:sleep(10),
            ok = nats_client:publish(Serving, ReplyTo, <<"done">>),
            ok = nats_client:acknowledge(Subscription, 1),
            slow(Serving, Subscription, Reference);
        {nats_subscription_ended, Reference} ->
            ok
    end.

what_the_server_says_is_no_atom(Config) ->
    Connection = connected(Config),
    Ask = fun(N) ->
                  Subject = <<"unheard.of.", (integer_to_binary(N))/binary>>,
                  {error, no_responders} = nats_client:request(Connection, Subject, Subject, 5000),
                  {ok, {Reference, _} = Subscription} = nats_client:subscribe(Connection, Subject, #{}),
                  ok = nats_client:publish(Connection, Subject, Subject, Subject),
                  receive {nats_message, Reference, Subject, Subject, Subject} -> ok end,
                  ok = nats_client:unsubscribe(Subscription),
                  _ = {nats_client:info(Connection), nats_client:counters(Connection)}
          end,
    Ask(0),
    Before = erlang:system_info(atom_count),
    lists:foreach(Ask, lists:seq(1, 100)),
    Before = erlang:system_info(atom_count),
    ok = nats_client:close(Connection).

options_that_are_wrong_are_named(Config) ->
    Port = nats_test_server:port(proplists:get_value(plain, Config)),
    [{error, {option, Key}} = nats_client:connect(Options)
     || {Key, Options} <- [{port, #{}}, {port, #{port => 0}}, {host, #{port => Port, host => "text"}},
                           {tls, #{port => Port, tls => #{}}},
                           {tls, #{port => Port, tls => #{ca => "ca", key => "key"}}},
                           {max_in_flight, #{port => Port, max_in_flight => 0}},
                           {unknown, #{port => Port, unknown => 1}}]],
    {error, {failed, <<"IO error: Connection refused", _/binary>>}} = nats_client:connect(#{port => 1}).

tls_is_what_the_server_says_it_is(Config) ->
    Server = proplists:get_value(tls, Config),
    Connection = encrypted(Config, <<"127.0.0.1">>),
    #{tls_version := <<"TLSv", Version/binary>>, tls_cipher := Cipher} = nats_client:info(Connection),
    Said = nats_test_server:monitor(Server, "connz?auth=1"),
    {match, _} = re:run(Said, ["\"tls_version\": *\"", Version, "\""]),
    {match, _} = re:run(Said, ["\"tls_cipher_suite\": *\"", Cipher, "\""]),
    _ = echo(Connection, <<"echo">>, none),
    Body = rand:bytes(1048576),
    {ok, Body} = nats_client:request(Connection, <<"echo">>, Body, 10000),
    ok = nats_client:close(Connection),
    % By its other name too.
    ok = nats_client:close(encrypted(Config, <<"localhost">>)).

a_server_of_another_authority_is_refused(Config) ->
    Server = proplists:get_value(tls, Config),
    Other = authority(Config, "other.pem", test_certificates([])),
    Files = (nats_test_server:tls(Server))#{ca := Other},
    {error, {failed, Why}} = nats_client:connect(#{port => nats_test_server:port(Server), tls => Files}),
    {match, _} = re:run(Why, "UnknownIssuer|BadSignature"),
    % Nor is a client that knows no authority at all.
    {error, {failed, _}} = nats_client:connect(#{port => nats_test_server:port(Server)}).

a_server_of_another_name_is_refused(Config) ->
    Server = proplists:get_value(tls, Config),
    {_, Port} = Relay = nats_test_server:relay({127, 0, 0, 2}, nats_test_server:port(Server)),
    Files = nats_test_server:tls(Server),
    {error, {failed, Why}} = nats_client:connect(#{host => <<"127.0.0.2">>, port => Port, tls => Files}),
    {match, _} = re:run(Why, "not valid for name"),
    nats_test_server:close_relay(Relay).

an_expired_server_is_refused(Config) ->
    {{Year, _, _}, _} = calendar:universal_time(),
    {Port, Files} = greeter(Config, [{validity, {{Year - 2, 1, 1}, {Year - 1, 1, 1}}}], []),
    {error, {failed, Why}} = nats_client:connect(#{host => <<"localhost">>, port => Port, tls => Files}),
    {match, _} = re:run(Why, "[Ee]xpired"),
    % The same server is believed while its certificate is good: it then says nothing, and time runs out.
    {Good, GoodFiles} = greeter(Config, [], []),
    {error, timeout} = nats_client:connect(#{host => <<"localhost">>, port => Good, tls => GoodFiles,
                                             connect_timeout_ms => 500}).

who_shows_no_certificate_is_refused(Config) ->
    Server = proplists:get_value(tls, Config),
    Files = maps:with([ca], nats_test_server:tls(Server)),
    {error, {failed, _}} = nats_client:connect(#{port => nats_test_server:port(Server), tls => Files}).

nobody_speaks_old_tls(Config) ->
    Server = proplists:get_value(tls, Config),
    #{ca := Ca, certificate := Certificate, key := Key} = nats_test_server:tls(Server),
    Shake = fun(Version) ->
        {ok, Socket} = gen_tcp:connect({127, 0, 0, 1}, nats_test_server:port(Server),
                                       [binary, {active, false}, {packet, line}]),
        {ok, <<"INFO ", _/binary>>} = gen_tcp:recv(Socket, 0, 5000),
        ok = inet:setopts(Socket, [{packet, raw}]),
        ssl:connect(Socket, [{versions, [Version]}, {cacertfile, Ca}, {certfile, Certificate},
                             {keyfile, Key}, {server_name_indication, "localhost"},
                             {verify, verify_peer}, {log_level, none}], 5000)
    end,
    {ok, New} = Shake('tlsv1.2'),
    ok = ssl:close(New),
    {error, {tls_alert, {protocol_version, _}}} = Shake('tlsv1.1'),
    % Nor does the client, where a server knows nothing else.
    {Port, Files} = greeter(Config, [], [{versions, ['tlsv1.1']}]),
    {error, {failed, Why}} = nats_client:connect(#{host => <<"localhost">>, port => Port, tls => Files}),
    {match, _} = re:run(Why, "ProtocolVersion").

%% An authority and a certificate of it for localhost.
test_certificates(Peer) ->
    Key = [{key, {rsa, 2048, 65537}}, {digest, sha256}],
    Name = #'Extension'{extnID = ?'id-ce-subjectAltName', extnValue = [{dNSName, "localhost"}],
                        critical = false},
    Chain = #{root => Key, intermediates => [], peer => Peer ++ [{extensions, [Name]} | Key]},
    public_key:pkix_test_data(#{server_chain => Chain,
                                 client_chain => #{root => [], intermediates => [], peer => []}}).

authority(Config, Name, #{client_config := ClientSide}) ->
    File = filename:join(proplists:get_value(priv_dir, Config), Name),
    Entries = [{'Certificate', Der, not_encrypted} || Der <- proplists:get_value(cacerts, ClientSide)],
    ok = file:write_file(File, public_key:pem_encode(Entries)),
    File.

%% A server that greets as NATS does, makes a handshake, and then says nothing.
greeter(Config, Peer, Options) ->
    #{server_config := ServerSide} = Certificates = test_certificates(Peer),
    Test = self(),
    spawn_link(fun() ->
        {ok, Listen} = gen_tcp:listen(0, [binary, {ip, {127, 0, 0, 1}}, {active, false}]),
        {ok, Port} = inet:port(Listen),
        Test ! {greeter, Port},
        greet(Listen, Options ++ [{log_level, none} | proplists:delete(cacerts, ServerSide)])
    end),
    Bound = receive {greeter, Port} -> Port end,
    {Bound, #{ca => authority(Config, integer_to_list(Bound) ++ ".pem", Certificates)}}.

greet(Listen, Options) ->
    {ok, Socket} = gen_tcp:accept(Listen),
    ok = gen_tcp:send(Socket, "INFO {\"version\":\"2.9.10\",\"max_payload\":1,\"tls_required\":true}\r\n"),
    _ = ssl:handshake(Socket, Options, 5000),
    greet(Listen, Options).

a_killed_server_comes_back(Config) ->
    Server = own_server(Config, "killed"),
    [Connection, Serving] = [connected_to(nats_test_server:port(Server), #{}) || _ <- [1, 2]],
    _ = echo(Serving, <<"echo">>, <<"group">>),
    Tally = load(Connection, fun() ->
        timer:sleep(200),
        ok = nats_test_server:kill(Server),
        true = until(fun() -> maps:get(state, nats_client:info(Connection)) =:= disconnected end),
        timer:sleep(200),
        ok = nats_test_server:restart(Server),
        true = until(fun() -> {ok, <<>>} =:= ask(Connection, <<"echo">>, 1000) end),
        timer:sleep(200)
    end),
    #{ok := Ok, error := Errors} = Tally,
    true = Ok > 0 andalso Errors > 0,
    #{disconnects := 1} = balanced(Connection),
    #{connects := 2, state := connected, last_error := <<_, _/binary>>} = nats_client:info(Connection),
    [ok = nats_client:close(C) || C <- [Connection, Serving]],
    ok = nats_test_server:stop(Server).

a_cut_connection_is_made_again(Config) ->
    To = nats_test_server:port(proplists:get_value(plain, Config)),
    {_, Port} = Relay = nats_test_server:relay({127, 0, 0, 1}, To),
    [Connection, Serving] = [connected_to(Port, #{}) || _ <- [1, 2]],
    _ = echo(Serving, <<"cut">>, <<"group">>),
    Tally = load(Connection, fun() ->
        [begin
             timer:sleep(100),
             ok = nats_test_server:cut(Relay),
             true = until(fun() -> {ok, <<>>} =:= ask(Connection, <<"cut">>, 1000) end)
         end || _ <- [1, 2, 3]]
    end),
    #{ok := Ok, error := _} = Tally,
    true = Ok > 0,
    #{disconnects := Disconnects} = balanced(Connection),
    true = Disconnects >= 3,
    [ok = nats_client:close(C) || C <- [Connection, Serving]],
    nats_test_server:close_relay(Relay).

a_server_that_is_gone_leaves_nobody_waiting(Config) ->
    Server = own_server(Config, "gone"),
    Connection = connected_to(nats_test_server:port(Server), #{max_in_flight => 8}),
    Mute = mute(connected_to(nats_test_server:port(Server), #{}), <<"mute">>),
    Test = self(),
    Waiting = [fun() -> ask(Connection, <<"mute">>, 60000) end || _ <- lists:seq(1, 12)],
    spawn_link(fun() -> Test ! {outcomes, outcomes(Waiting)} end),
    true = until(fun() -> maps:get(rejected, nats_client:counters(Connection)) =:= 4 end),
    ok = nats_test_server:kill(Server),
    % They do not wait for their own minute.
    receive {outcomes, Outcomes} -> #{error := 8, rejected := 4} = Outcomes after 10000 -> error(hang) end,
    {error, disconnected} = nats_client:request(Connection, <<"mute">>, <<>>, 60000),
    {error, disconnected} = nats_client:publish(Connection, <<"mute">>, <<>>),
    {error, disconnected} = nats_client:subscribe(Connection, <<"other">>, #{}),
    #{errors := 10, rejected := 4, backpressure_active_total := 1, in_flight := 0} = balanced(Connection),
    {error, timeout} = nats_client:drain(Connection, 100),
    exit(Mute, kill),
    ok = nats_test_server:stop(Server).

the_module_may_be_purged_and_loaded(Config) ->
    Port = nats_test_server:port(proplists:get_value(plain, Config)),
    ok = in_another_vm(own_dirs(), fun() ->
        _ = put(connections, []),
        [begin
             Connection = connected_to(Port, #{}),
             _ = mute(Connection, <<"purge">>),
             Caller = spawn(fun() -> nats_client:request(Connection, <<"purge">>, <<>>, 60000) end),
             true = until(fun() -> maps:get(in_flight, nats_client:counters(Connection)) =:= 1 end),
             true = code:delete(nats_client_nif),
             _ = code:purge(nats_client_nif),
             {module, nats_client_nif} = code:load_file(nats_client_nif),
             % What was made before is refused, or what it was.
             case tried(fun() -> nats_client:info(Connection) end) of
                 badarg -> ok;
                 #{state := _} -> ok
             end,
             exit(Caller, kill),
             New = connected_to(Port, #{}),
             ok = nats_client:round_trip(New, 5000),
             ok = nats_client:close(New)
         end || _ <- lists:seq(1, 5)],
        ok
    end).

a_vm_halts_with_open_connections(Config) ->
    Port = nats_test_server:port(proplists:get_value(plain, Config)),
    Erl = filename:join([code:root_dir(), "bin", "erl"]),
    Eval = lists:flatten(io_lib:format("nats_client_SUITE:halts(~b).", [Port])),
    Arguments = ["-noshell", "-noinput", "-boot", "no_dot_erlang" | paths(own_dirs())] ++ ["-eval", Eval],
    [begin
         Vm = open_port({spawn_executable, Erl},
                        [{args, Arguments}, exit_status, stderr_to_stdout, binary]),
         {0, <<>>} = vm_ended(Vm, <<>>)
     end || _ <- lists:seq(1, 3)].

%% A VM in the middle of everything.
halts(Port) ->
    _ = put(connections, []),
    Connection = connected_to(Port, #{}),
    _ = echo(Connection, <<"halt">>, <<"group">>),
    Ask = fun Ask() -> _ = nats_client:request(Connection, <<"halt">>, rand:bytes(1000), 100), Ask() end,
    _ = [spawn(Ask) || _ <- lists:seq(1, 8)],
    timer:sleep(100),
    halt(0).

vm_ended(Vm, Said) ->
    receive
        {Vm, {data, More}} -> vm_ended(Vm, <<Said/binary, More/binary>>);
        {Vm, {exit_status, Status}} -> {Status, Said}
    after 30000 -> error({hangs, Said})
    end.

without_a_library_the_cure_is_named(Config) ->
    Ebin = filename:join([proplists:get_value(priv_dir, Config), "nats_client", "ebin"]),
    ok = filelib:ensure_dir(filename:join(Ebin, "any")),
    [{ok, _} = file:copy(code:which(Module), filename:join(Ebin, atom_to_list(Module) ++ ".beam"))
     || Module <- [nats_client, nats_client_nif]],
    {error, {not_built, Cure}} = in_another_vm([Ebin, filename:dirname(code:which(?MODULE))], fun() ->
        ok = logger:set_primary_config(level, none),
        nats_client:connect(#{port => 4222})
    end),
    {match, _} = re:run(Cure, "scripts/nats.sh build").

the_script_says_what_there_is(Config) ->
    Dir = filename:join(proplists:get_value(priv_dir, Config), "script"),
    Script = filename:join(nats_test_server:root(), "scripts/nats.sh"),
    Run = fun(Arguments) ->
                  string:trim(os:cmd(lists:join(" ", [Script, Arguments, "--dir", Dir, "; echo $?"])))
          end,
    Has = fun(Text, Said) -> {match, _} = re:run(Said, Text, [dotall]) end,
    Has("does not run.*1$", Run("status")),
    Has("does not run.*0$", Run("stop")),
    Server = nats_test_server:start(Dir, ["--tls", "--jetstream"]),
    Has("nats-server 2.*JetStream +/.*0$", Run("status")),
    Has("it runs already.*0$", Run("start")),
    ok = nats_test_server:kill(Server),
    Has("it was killed.*1$", Run("status")),
    ok = nats_test_server:restart(Server),
    Has("0$", Run("status")),
    ok = nats_test_server:stop(Server),
    Has("does not run.*0$", Run("stop")),
    Has("usage|Usage.*2$", Run("start --nonsense")).

%% A connection of the calling process.
connected(Config) -> connected(Config, #{}).

connected(Config, More) -> connected_to(nats_test_server:port(proplists:get_value(plain, Config)), More).

connected_to(Port, More) ->
    {ok, Connection} = nats_client:connect(More#{port => Port}),
    Known = get(connections),
    _ = is_list(Known) andalso put(connections, [Connection | Known]),
    Connection.

encrypted(Config, Host) ->
    Server = proplists:get_value(tls, Config),
    connected_to(nats_test_server:port(Server), #{host => Host, tls => nats_test_server:tls(Server)}).

own_server(Config, Name) ->
    nats_test_server:start(filename:join(proplists:get_value(priv_dir, Config), Name), []).

ask(Connection, Subject, TimeoutMs) ->
    nats_client:request(Connection, Subject, <<>>, TimeoutMs).

%% A member that sends back what it gets.
echo(Connection, Subject, Group) ->
    Answer = fun(ReplyTo, Payload) -> nats_client:publish(Connection, ReplyTo, Payload) end,
    member(Connection, Subject, Group, Answer).

%% A member that answers nothing.
mute(Connection, Subject) ->
    member(Connection, Subject, none, fun(_, _) -> ok end).

member(Connection, Subject, Group, Answer) ->
    Test = self(),
    Options = case Group of
                  none -> #{};
                  _ -> #{queue_group => Group}
              end,
    Pid = spawn(fun() ->
        % The connection may be its maker's alone.
        {ok, {Reference, _} = Subscription} =
            nats_client:subscribe(Connection, Subject, Options#{credit => 1000}),
        Test ! {self(), up},
        answer(Subscription, Reference, Answer, 0)
    end),
    receive {Pid, up} -> Pid end.

answer(Subscription, Reference, Answer, Count) ->
    receive
        {nats_message, Reference, _, ReplyTo, Payload} ->
            _ = ReplyTo =/= nil andalso Answer(ReplyTo, Payload),
            ok = nats_client:acknowledge(Subscription, 1),
            answer(Subscription, Reference, Answer, Count + 1);
        {count, From} ->
            From ! {count, Count},
            answer(Subscription, Reference, Answer, Count);
        {nats_subscription_ended, Reference} ->
            ok
    end.

echoed(Member) ->
    Member ! {count, self()},
    receive {count, Count} -> Count end.

%% What became of requests that are made at once.
outcomes(Requests) ->
    Test = self(),
    Pids = [spawn_link(fun() -> Test ! {self(), kind(Request())} end) || Request <- Requests],
    tally([receive {Pid, Kind} -> Kind end || Pid <- Pids]).

tally(Kinds) ->
    lists:foldl(fun(Kind, Tally) -> maps:update_with(Kind, fun(N) -> N + 1 end, 1, Tally) end, #{}, Kinds).

kind({ok, _}) -> ok;
kind({error, timeout}) -> timeout;
kind({error, _}) -> error;
kind({rejected, backpressure}) -> rejected.

%% Sixteen callers ask as long as something happens; the books of both sides balance and agree.
load(Connection, Happens) ->
    Subject = case nats_client:request(Connection, <<"cut">>, <<>>, 1000) of
                  {ok, _} -> <<"cut">>;
                  {error, no_responders} -> <<"echo">>
              end,
    Test = self(),
    Callers = [spawn_link(fun() -> Test ! {self(), drive(Connection, Subject, #{})} end)
               || _ <- lists:seq(1, 16)],
    _ = Happens(),
    [Caller ! stop || Caller <- Callers],
    Tallies = [receive {Caller, Tally} -> Tally after 30000 -> error(hang) end || Caller <- Callers],
    Sum = fun(One, All) -> maps:merge_with(fun(_, A, B) -> A + B end, One, All) end,
    Tally = lists:foldl(Sum, #{}, Tallies),
    #{sent := Sent} = Tally,
    Sent = lists:sum(maps:values(maps:remove(sent, Tally))),
    ct:pal("~p~n~p", [Tally, nats_client:counters(Connection)]),
    Tally.

drive(Connection, Subject, Tally) ->
    receive
        stop -> Tally
    after 0 ->
        Kind = kind(ask(Connection, Subject, 1000)),
        % Without a connection the answer comes at once.
        Kind =:= error andalso timer:sleep(1),
        Add = fun(Key, All) -> maps:update_with(Key, fun(N) -> N + 1 end, 1, All) end,
        drive(Connection, Subject, Add(Kind, Add(sent, Tally)))
    end.

%% Every request ended in one way.
balanced(Connection) ->
    #{requests := Requests, replied := Replied, errors := Errors, timeouts := Timeouts, rejected := Rejected,
      abandoned := Abandoned, in_flight := 0} = Counters = nats_client:counters(Connection),
    {Requests, Requests} = {Requests, Replied + Errors + Timeouts + Rejected + Abandoned},
    Counters.

threads() ->
    Names = [file:read_file(File) || File <- filelib:wildcard("/proc/self/task/*/comm")],
    length([ok || {ok, <<"nats_client", _/binary>>} <- Names]).

until(Condition) -> until(Condition, 1000).

until(Condition, Looks) ->
    Condition() orelse (Looks > 0 andalso begin timer:sleep(10), until(Condition, Looks - 1) end).

in_another_vm(Dirs, Work) ->
    {ok, Peer, _} = peer:start(#{connection => standard_io,
                                 args => ["-boot", "no_dot_erlang" | paths(Dirs)]}),
    try peer:call(Peer, erlang, apply, [Work, []], 60000)
    after peer:stop(Peer)
    end.

own_dirs() ->
    [filename:absname(Dir) || Dir <- code:get_path(), Dir =/= ".", not lists:prefix(code:lib_dir(), Dir),
                              filelib:is_dir(Dir)].

paths(Dirs) -> lists:append([["-pa", Dir] || Dir <- lists:reverse(Dirs)]).

%% What it answers, or that it was given what it cannot take.
tried(Function) ->
    try Function()
    catch error:badarg -> badarg
    end.
