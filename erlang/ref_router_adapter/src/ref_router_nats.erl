%% @doc The reference router behind a NATS server: it serves decisions by request and reply in a queue
%% group, and is asked through the server like by anybody.
%%
%% One process owns two connections, as two parties would have them: one that serves and one that asks. Each
%% worker has a subscription of its own in the queue group, so that the server spreads the requests. Whatever
%% of this dies takes the rest along. It lives beside the adapter and not in the router, so that a replay
%% measures a frozen router behind the same bus. A driver in another node asks through a connection of its own.
%% @private
-module(ref_router_nats).
-behaviour(gen_server).

-export([start/1, stop/0, reach/2, leave/1, ask/2, transport/1, counters/1, outage/1]).
-export([init/1, handle_call/3, handle_cast/2, handle_info/2, terminate/2]).

-export_type([options/0, bus/0]).

%% Where `scripts/nats.sh' keeps the server; whether it talks TLS; what makes the subject one's own; who decides.
-type options() :: #{dir := file:name_all(), tls := boolean(), instance := pos_integer(),
                     max_in_flight := pos_integer(), timeout_ms := pos_integer(),
                     workers := pos_integer(), route := fun((ref_router:message()) -> term())}.
-type bus() :: #{connection := nats_client:connection(), subject := binary(),
                 timeout_ms := pos_integer(), dir := file:name_all()}.

-record(state, {serving :: nats_client:connection(), bus :: bus()}).

-define(GROUP, <<"ref_router">>).
%% Messages that a worker may have in its mailbox.
-define(CREDIT, 64).
-define(START_MS, 20000).
-define(DRAIN_MS, 2000).
%% For another node to tell its subject.
-define(TOLD_MS, 5000).
%% What a reply waits when its connection has no permit.
-define(AGAIN_MS, 1).
%% Its input ends with the VM, and nothing that asks it to end keeps the server stopped.
-define(STOP_UNTIL_TOLD,
        "trap '' HUP INT TERM; kill -STOP \"$0\" && echo stopped && { read -r _; kill -CONT \"$0\"; }").

%% @doc Connects, and serves once this returns.
-spec start(options()) -> {ok, bus()} | {error, term()}.
start(Options) ->
    case gen_server:start({local, ?MODULE}, ?MODULE, Options, [{timeout, ?START_MS}]) of
        {ok, Pid} -> {ok, gen_server:call(Pid, bus)};
        {error, Reason} -> {error, Reason}
    end.

%% @doc Finishes what is under way and disconnects.
-spec stop() -> ok.
stop() ->
    gen_server:stop(?MODULE, normal, 2 * ?DRAIN_MS + ?START_MS).

%% @doc Connects to the server for routers in other nodes, of which each tells its subject: a bus for each, which
%% share one connection that asks. It belongs to the calling process.
-spec reach([node(), ...], options()) -> {ok, [bus(), ...]} | {error, term()}.
reach(Nodes, #{dir := Dir, timeout_ms := TimeoutMs} = Options) ->
    case {subjects(Nodes), connection(Options)} of
        {{ok, Subjects}, {ok, Settings}} ->
            case connect([asking(Settings, Options)]) of
                {ok, [Asking]} ->
                    ok = know_decisions(),
                    {ok, [#{connection => Asking, subject => Subject, timeout_ms => TimeoutMs, dir => Dir}
                          || Subject <- Subjects]};
                {error, Reason} ->
                    {error, Reason}
            end;
        {{error, Reason}, _} -> {error, Reason};
        {_, {error, Reason}} -> {error, Reason}
    end.

%% No reply makes an atom, and where no router runs its modules are not loaded.
know_decisions() ->
    _ = application:load(ref_router),
    {ok, Modules} = application:get_key(ref_router, modules),
    code:ensure_modules_loaded(Modules).

subjects(Nodes) ->
    Told = [{Node, try erpc:call(Node, gen_server, call, [?MODULE, bus], ?TOLD_MS)
                   catch _:Reason -> {error, Reason}
                   end} || Node <- Nodes],
    case [{Node, Reason} || {Node, {error, Reason}} <- Told] of
        [] -> {ok, [Subject || {_, #{subject := Subject}} <- Told]};
        [{Node, Reason} | _] -> {error, {no_bus, Node, Reason}}
    end.

%% @doc Ends the connection of buses that were reached, once what is under way has its reply.
-spec leave([bus(), ...]) -> ok.
leave([#{connection := Connection} | _]) ->
    _ = nats_client:drain(Connection, ?DRAIN_MS),
    ok.

%% @doc Has a message routed on the other side of the server.
-spec ask(bus(), ref_router:message()) ->
          ref_router:outcome() | nats_client:result() | {error, damaged | exception}.
ask(#{connection := Connection, subject := Subject, timeout_ms := TimeoutMs}, Message) ->
    case nats_client:request(Connection, Subject, ref_router_wire:encode_message(Message), TimeoutMs) of
        {ok, Reply} -> ref_router_wire:decode_outcome(Reply);
        Failure -> Failure
    end.

%% @doc The server, and what TLS negotiated with it.
-spec transport(bus()) -> #{name := binary(), server := binary(),
                            tls_version => binary(), tls_cipher => binary()}.
transport(#{connection := Connection}) ->
    #{server_version := Version} = Info = nats_client:info(Connection),
    Tls = maps:with([tls_version, tls_cipher], Info),
    Name = case map_size(Tls) of
               0 -> <<"nats">>;
               _ -> <<"nats-tls">>
           end,
    Tls#{name => Name, server => <<"nats-server ", Version/binary>>}.

%% @doc What the asking side counted.
-spec counters(bus()) -> nats_client:counters().
counters(#{connection := Connection}) ->
    nats_client:counters(Connection).

%% @doc Stops the server's process until it is told to go on; whatever becomes of this VM meanwhile, it goes
%% on. It cannot be killed and started again from here: what a measured BEAM starts ends with the BEAM.
-spec outage(bus()) -> {ended_by, fun(() -> ok)} | not_offered.
outage(#{dir := Dir}) ->
    case server(Dir) of
        {ok, OsPid} ->
            Port = open_port({spawn_executable, "/bin/sh"},
                             [{args, ["-c", ?STOP_UNTIL_TOLD, OsPid]}, {line, 80}, exit_status]),
            receive
                {Port, {data, {eol, "stopped"}}} ->
                    {ended_by, fun() ->
                                       true = port_command(Port, "go on\n"),
                                       receive {Port, {exit_status, 0}} -> ok end
                               end};
                {Port, {exit_status, Status}} ->
                    exit({server_not_stopped, OsPid, Status})
            end;
        none ->
            not_offered
    end.

%% As far as /proc tells that it is the one of this directory.
server(Dir) ->
    case file:read_file(filename:join(Dir, "nats.pid")) of
        {ok, Text} ->
            OsPid = string:trim(binary_to_list(Text)),
            Named = filename:join(Dir, "nats.conf"),
            case file:read_file(filename:join(["/proc", OsPid, "cmdline"])) of
                {ok, Words} ->
                    case binary:match(Words, iolist_to_binary(Named)) of
                        nomatch -> none;
                        _ -> {ok, OsPid}
                    end;
                {error, _} -> none
            end;
        {error, _} ->
            none
    end.

%% @private
-spec init(options()) -> {ok, #state{}} | {stop, term()}.
init(#{workers := Workers, instance := Instance, timeout_ms := TimeoutMs, route := Route} = Options) ->
    process_flag(trap_exit, true),
    case connection(Options) of
        {ok, Settings} ->
            Subject = subject(Instance),
            case connect([Settings#{name => <<"ref_router serves">>}, asking(Settings, Options)]) of
                {ok, [Serving, Asking]} ->
                    ok = serve(Serving, Subject, Workers, Route),
                    Bus = #{connection => Asking, subject => Subject, timeout_ms => TimeoutMs,
                            dir => maps:get(dir, Options)},
                    {ok, #state{serving = Serving, bus = Bus}};
                {error, Reason} ->
                    {stop, Reason}
            end;
        {error, Reason} ->
            {stop, Reason}
    end.

asking(Settings, #{max_in_flight := MaxInFlight}) ->
    Settings#{name => <<"ref_router asks">>, max_in_flight => MaxInFlight}.

%% Routers that are alive at once, here or elsewhere, share a server and no subject.
subject(Instance) ->
    Own = binary:encode_hex(rand:bytes(8)),
    iolist_to_binary(["ref_router.", os:getpid(), $., integer_to_binary(Instance), $., Own]).

connection(#{dir := Dir, tls := Tls}) ->
    File = filename:join(Dir, "port"),
    case file:read_file(File) of
        {ok, Text} ->
            Settings = #{port => binary_to_integer(string:trim(Text))},
            {ok, case Tls of
                     false -> Settings;
                     true -> Settings#{tls => certificates(filename:join(Dir, "certificates"))}
                 end};
        {error, Reason} ->
            {error, {no_server, File, Reason, start_it_with, how(Tls)}}
    end.

how(false) -> 'scripts/nats.sh start';
how(true) -> 'scripts/nats.sh start --tls'.

certificates(Dir) ->
    #{ca => filename:join(Dir, "ca.pem"), certificate => filename:join(Dir, "client.pem"),
      key => filename:join(Dir, "client.key")}.

connect([]) ->
    {ok, []};
connect([Settings | More]) ->
    case nats_client:connect(Settings) of
        {ok, Connection} ->
            case connect(More) of
                {ok, Connections} -> {ok, [Connection | Connections]};
                {error, Reason} -> {error, Reason}
            end;
        {error, Reason} ->
            {error, Reason}
    end.

serve(Serving, Subject, Workers, Route) ->
    Starts = [proc_lib:start_link(erlang, apply, [fun worker/4, [Serving, Subject, Route, self()]])
              || _ <- lists:seq(1, Workers)],
    lists:foreach(fun(ok) -> ok end, Starts).

worker(Serving, Subject, Route, Parent) ->
    Options = #{queue_group => ?GROUP, credit => ?CREDIT},
    {ok, {Reference, _} = Subscription} = nats_client:subscribe(Serving, Subject, Options),
    ok = proc_lib:init_ack(Parent, ok),
    work(Serving, Subscription, Reference, Route).

work(Serving, Subscription, Reference, Route) ->
    receive
        {nats_message, Reference, _Subject, nil, _Payload} ->
            ok = nats_client:acknowledge(Subscription, 1),
            work(Serving, Subscription, Reference, Route);
        {nats_message, Reference, _Subject, ReplyTo, Payload} ->
            ok = reply(Serving, ReplyTo, ref_router_wire:encode_outcome(outcome(Payload, Route))),
            ok = nats_client:acknowledge(Subscription, 1),
            work(Serving, Subscription, Reference, Route);
        {nats_subscription_ended, Reference} ->
            ok
    end.

%% An exception of the router is an answer, too: who asked shall not have to wait for the timeout.
outcome(Payload, Route) ->
    case ref_router_wire:decode_message(Payload) of
        {ok, Message} ->
            try Route(Message)
            catch _:_ -> {error, exception}
            end;
        {error, damaged} ->
            {error, damaged}
    end.

%% A worker that cannot send does not take more either. Without a connection the reply has nowhere to go.
reply(Serving, ReplyTo, Reply) ->
    case nats_client:publish(Serving, ReplyTo, Reply) of
        ok -> ok;
        {rejected, backpressure} -> receive after ?AGAIN_MS -> reply(Serving, ReplyTo, Reply) end;
        {error, _Reason} -> ok
    end.

%% @private
-spec handle_call(bus, gen_server:from(), #state{}) -> {reply, bus(), #state{}}.
handle_call(bus, _From, #state{bus = Bus} = State) ->
    {reply, Bus, State}.

%% @private
-spec handle_cast(term(), #state{}) -> {noreply, #state{}}.
handle_cast(_Message, State) ->
    {noreply, State}.

%% @private
-spec handle_info(term(), #state{}) -> {noreply, #state{}} | {stop, term(), #state{}}.
handle_info({'EXIT', _Worker, Reason}, State) ->
    {stop, {worker_ended, Reason}, State};
handle_info(_Message, State) ->
    {noreply, State}.

%% @private
-spec terminate(term(), #state{}) -> ok.
terminate(_Reason, #state{serving = Serving, bus = #{connection := Asking}}) ->
    _ = nats_client:drain(Asking, ?DRAIN_MS),
    _ = nats_client:drain(Serving, ?DRAIN_MS),
    ok.
