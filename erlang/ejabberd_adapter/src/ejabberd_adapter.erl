%% @doc Measures ejabberd, 23.01 to 24.12, inside its own BEAM: a chat message to one of a hundred sessions, through
%% `ejabberd_router', until the session's process has it.
%%
%% The sender is a component, to whom ejabberd sends an error stanza of what it does not deliver: `route/1' itself
%% answers `ok' whatever happens.
-module(ejabberd_adapter).
-behaviour(router_bench_adapter).
-export([init/1, request/2, route/2, answered/1, counters/1, control/2, processes/1, terminate/1, detach/1]).

-define(SESSIONS, 100).
-define(RESOURCE, <<"perf_gate">>).
-define(ANSWER_MAX_MS, 5000).
-define(CONFIG, "hosts: [localhost]\nloglevel: error\ns2s_access: none\nlisten: []\nmodules: {}\n").

%% @doc Boots an ejabberd without a port and with a directory of its own, or takes the one that runs (`attached');
%% opens the sessions.
-spec init(router_bench_adapter:options()) -> {ok, map()} | {error, term()}.
init(#{keys := Keys} = Options) ->
    case code:which(ejabberd) of
        non_existing -> {error, "no ejabberd: ERL_LIBS must name the directory that it is in"};
        _ ->
            Up = case Options of #{attached := true} -> #{}; #{} -> boot(router_bench_scratch:new()) end,
            [Host | _] = ejabberd_option:hosts(),
            {Domain, Errors} = {<<"perf-gate.", Host/binary>>, counters:new(1, [])},
            ok = persistent_term:put(?MODULE, Errors),
            ok = ejabberd_router:register_route(Domain, Host, {apply, ?MODULE, answered}, self()),
            {ok, Up#{keys => Keys, host => Host, domain => Domain, errors => Errors, owner => self(),
                     sessions => [open(user(I), Host) || I <- lists:seq(0, ?SESSIONS - 1)]}}
    end.

boot({ok, Directory, Scratch}) ->
    Config = filename:join(Directory, "ejabberd.yml"),
    ok = file:write_file(Config, ?CONFIG),
    true = os:putenv("EJABBERD_CONFIG_PATH", Config) andalso os:putenv("EJABBERD_LOG_PATH", Directory ++ "/log"),
    ok = application:set_env(mnesia, dir, filename:join(Directory, "mnesia")),
    {ok, _} = application:ensure_all_started(ejabberd),
    #{scratch => Scratch}.

user(I) -> <<"perf_gate_", (integer_to_binary(I))/binary>>.

%% A session whose process says of each message that it has it.
open(User, Host) ->
    Owner = self(),
    Session = spawn_link(fun() ->
        Id = ejabberd_sm:make_sid(),
        ok = ejabberd_sm:open_session(Id, User, Host, ?RESOURCE, 0, [{conn, c2s}]),
        Owner ! {self(), Id},
        serve()
    end),
    receive {Session, Id} -> {Session, Id, User} end.

serve() ->
    receive
        {route, Message} ->
            {Sender, Reference} = xmpp:get_meta(Message, ?MODULE),
            Sender ! {Reference, delivered},
            serve();
        close -> ok
    end.

%% @doc A chat message to a session.
-spec request(non_neg_integer(), map()) -> tuple().
request(N, #{keys := Keys} = State) -> message(user(router_bench_keys:key(N, Keys) rem ?SESSIONS), State).

message(User, #{host := Host, domain := Domain}) ->
    Element = {xmlel, <<"message">>, [{<<"type">>, <<"chat">>}, {<<"from">>, <<"bench@", Domain/binary>>},
                                      {<<"to">>, <<User/binary, "@", Host/binary, "/", ?RESOURCE/binary>>}],
               [{xmlel, <<"body">>, [], [{xmlcdata, binary:copy(<<"0123456789abcdef">>, 16)}]}]},
    xmpp:put_meta(xmpp:decode(Element, <<"jabber:client">>, []), ?MODULE, {self(), make_ref()}).

%% @doc Routes a message until its session has it, or an error stanza has come back.
-spec route(tuple(), map()) -> router_bench_adapter:result().
route(Message, _State) ->
    {_, Reference} = xmpp:get_meta(Message, ?MODULE),
    ok = ejabberd_router:route(Message),
    case erase(?MODULE) of
        undefined -> receive {Reference, delivered} -> ok after ?ANSWER_MAX_MS -> {error, timeout} end;
        Error -> {error, {error_stanza, Error}}
    end.

%% @doc Called by ejabberd, in the process that sent, with what comes back to the component.
-spec answered(tuple()) -> ok.
answered(Stanza) ->
    case xmpp:get_type(Stanza) of
        error ->
            _ = put(?MODULE, xmpp:format_stanza_error(xmpp:get_error(Stanza))),
            counters:add(persistent_term:get(?MODULE), 1, 1);
        _ -> ok
    end.

%% @doc Error stanzas. ejabberd holds nobody back who routes.
-spec counters(map()) -> router_bench_adapter:counters().
counters(#{errors := Errors}) -> #{errors_total => counters:get(Errors, 1)}.

%% @doc A message to somebody who has no session.
-spec control(errors_total | backpressure_active_total, map()) -> term().
control(errors_total, State) -> route(message(<<"nobody">>, State), State);
control(backpressure_active_total, _State) -> not_offered.

%% @doc ejabberd lives as long as its supervisor.
-spec processes(map()) -> [atom()].
processes(_State) -> [ejabberd_sup].

%% @doc Stops the ejabberd that was booted, and removes its directory.
-spec terminate(map()) -> term().
terminate(#{scratch := Scratch} = State) ->
    ok = detach(State),
    _ = [application:stop(Application) || Application <- [ejabberd, mnesia]],
    router_bench_scratch:remove(Scratch).

%% @doc Takes sessions and component back.
-spec detach(map()) -> ok.
detach(#{sessions := Sessions, host := Host, domain := Domain, owner := Owner}) ->
    lists:foreach(fun({Session, Id, User}) ->
                          _ = ejabberd_sm:close_session(Id, User, Host, ?RESOURCE),
                          Session ! close
                  end, Sessions),
    _ = {ejabberd_router:unregister_route(Domain, Owner), persistent_term:erase(?MODULE)},
    ok.
