%% @doc A NATS client whose every queue is bounded: requests, publishing, subscriptions in queue groups.
%%
%% The protocol is async-nats', the official client in Rust, in a thread for each connection
%% (`scripts/nats.sh build' builds the library). No call waits on a scheduler: a command goes to the thread,
%% an answer comes as a message.
%%
%% == Connections ==
%% A connection belongs to the process that made it: it ends with {@link close/1} or {@link drain/2}, with
%% that process, and when its last term is gone. Where it breaks it is made again, for as long as that
%% takes, a try every `reconnect_delay_ms' at most; `connects' and `disconnects' are counted, and
%% {@link info/1} tells the state and the last error. Subscriptions are made again with it.
%%
%% == Requests ==
%% Each takes one of `max_in_flight' permits, and is refused with `{rejected, backpressure}' where there is
%% none. That is an edge of `backpressure_active_total'; backpressure is over once half of the permits are
%% free. Each ends exactly once, and none can hang: with its reply, an error, its timeout, or its caller:
%%
%% ```requests = replied + errors + timeouts + rejected + abandoned + those under way'''
%%
%% Those under way when a connection breaks end with `{error, disconnected}', and so do those made until it
%% is there again. A request that failed or timed out may have been served all the same: NATS delivers at
%% most once, and a reply that nobody waits for is counted as `late'.
%%
%% == Messages ==
%% A subscription sends its owner at most `credit' messages that {@link acknowledge/2} was not told of.
%% More wait in a buffer of `buffer' messages. What comes when it is full is thrown away, as the server
%% does with a slow consumer; `dropped' counts it (at least: of a burst, async-nats tells 128 times).
%%
%% == TLS ==
%% 1.2 and newer. The server's certificate must come from `ca' and name `host'; the client shows
%% `certificate'. Files are read again for each connection. `tls_version' and `tls_cipher' are those of a
%% handshake that is made ahead of the connection with the same settings, since async-nats does not tell;
%% after a reconnection to a server with other settings they may be others.
-module(nats_client).

-export([connect/1, close/1, drain/2, info/1, counters/1]).
-export([request/4, round_trip/2, publish/3, publish/4]).
-export([subscribe/3, acknowledge/2, unsubscribe/1]).

-export_type([options/0, connection/0, subscription/0, message/0, reason/0, result/0, info/0, counters/0]).

%% `host' is a name or an address (127.0.0.1). `max_in_flight' (1024) are the permits, `buffer' (4096) the
%% messages that may wait for each subscription.
-type options() :: #{port := inet:port_number(), host => binary(), name => binary(),
                     tls => #{ca := file:name_all(), certificate => file:name_all(),
                              key => file:name_all()},
                     max_in_flight => 1..65536, buffer => 1..65536,
                     connect_timeout_ms => pos_integer(), reconnect_delay_ms => pos_integer(),
                     ping_interval_ms => pos_integer()}.
-type connection() :: nats_client_nif:connection().
-type subscription() :: {reference(), nats_client_nif:subscription()}.
%% What the owner of a subscription receives; the reference is the first element of the subscription.
-type message() :: {nats_message, reference(), Subject :: binary(), ReplyTo :: binary() | nil,
                    Payload :: binary()}
                 | {nats_subscription_ended, reference()}.
-type reason() :: closed | disconnected | draining | no_responders | timeout | invalid_subject
                | {max_payload, non_neg_integer()} | {failed, binary()}.
-type result() :: {ok, Payload :: binary()} | {error, reason()} | {rejected, backpressure}.
-type info() :: #{state := connecting | connected | disconnected | draining | closed,
                  server_version => binary(), server_id => binary(),
                  max_payload => non_neg_integer(), connects => non_neg_integer(),
                  tls_version => binary(), tls_cipher => binary(), last_error => binary()}.
-type counters() :: #{requests | replied | errors | timeouts | rejected | abandoned | late | published
                      | publish_errors | publish_rejected | delivered | dropped | disconnects | in_flight
                      | backpressure_active_total => non_neg_integer(),
                      backpressure_active => boolean()}.

%% Beyond the time that the thread has, for its answer to come.
-define(GRACE_MS, 1000).
%% For a thread that is told to end.
-define(CLOSE_MS, 5000).

%% @doc Connects. An error is what the server, the certificate check or the system says, the option that is
%% missing or wrong, or that there is no library.
-spec connect(options()) ->
          {ok, connection()} | {error, reason() | {option, atom()} | {not_built, Cure :: string()}}.
connect(Options) ->
    case {code:ensure_loaded(nats_client_nif), settings(Options)} of
        {{error, _Logged}, _} ->
            {error, {not_built, "build the library of the NATS client with: scripts/nats.sh build"}};
        {_, {ok, #{connect_timeout_ms := LimitMs} = Settings}} ->
            Reference = make_ref(),
            Connection = nats_client_nif:connect(Settings, Reference),
            case answer(Reference, LimitMs + ?GRACE_MS) of
                ok -> {ok, Connection};
                {error, Reason} -> {error, Reason}
            end;
        {_, {error, Reason}} ->
            {error, Reason}
    end.

defaults() ->
    #{host => <<"127.0.0.1">>, name => <<"nats_client">>, tls => nil, max_in_flight => 1024,
      buffer => 4096, connect_timeout_ms => 5000, reconnect_delay_ms => 250, ping_interval_ms => 5000}.

settings(Options) ->
    Settings = maps:merge(defaults(), Options),
    case [Key || {Key, Value} <- maps:to_list(Settings), not is_valid(Key, Value)]
        ++ [port || not is_map_key(port, Settings)] of
        [] -> {ok, Settings#{tls := files(maps:get(tls, Settings))}};
        [Key | _] -> {error, {option, Key}}
    end.

is_valid(port, Port) -> is_integer(Port) andalso Port > 0 andalso Port < 65536;
is_valid(Key, Text) when Key =:= host; Key =:= name -> is_binary(Text) andalso Text =/= <<>>;
is_valid(tls, nil) -> true;
is_valid(tls, #{ca := _} = Files) ->
    [] =:= maps:keys(maps:without([ca, certificate, key], Files))
        andalso is_map_key(certificate, Files) =:= is_map_key(key, Files);
is_valid(Key, Number) when Key =:= max_in_flight; Key =:= buffer ->
    is_integer(Number) andalso Number > 0 andalso Number =< 65536;
is_valid(Key, Ms) when Key =:= connect_timeout_ms; Key =:= reconnect_delay_ms; Key =:= ping_interval_ms ->
    is_integer(Ms) andalso Ms > 0;
is_valid(_Key, _Value) -> false.

files(nil) ->
    nil;
files(Files) ->
    maps:merge(#{certificate => nil, key => nil},
               maps:map(fun(_, Name) -> unicode:characters_to_binary(Name) end, Files)).

%% @doc Ends a connection at once: requests under way end with `{error, closed}'. Returns when its thread
%% uses nothing any more; may be called again.
-spec close(connection()) -> ok.
close(Connection) ->
    Reference = make_ref(),
    case nats_client_nif:close(Connection, Reference) of
        true ->
            _ = answer(Reference, ?CLOSE_MS),
            ok;
        false ->
            ok
    end.

%% @doc Ends a connection in order: no new requests, subscriptions end after what has come and was
%% acknowledged, requests with their replies, and what was published is sent. What is not done after
%% `TimeoutMs' is cut off, which is `{error, timeout}'.
-spec drain(connection(), TimeoutMs :: non_neg_integer()) -> ok | {error, timeout | closed}.
drain(Connection, TimeoutMs) ->
    Reference = make_ref(),
    Result = case nats_client_nif:drain(Connection, Reference, TimeoutMs) of
                 true -> answer(Reference, TimeoutMs + ?GRACE_MS);
                 false -> {error, closed}
             end,
    ok = close(Connection),
    Result.

answer(Reference, LimitMs) ->
    receive {nats_client, Reference, Answer} -> Answer
    after LimitMs -> {error, timeout}
    end.

%% @doc State, server, and what TLS negotiated.
-spec info(connection()) -> info().
info(Connection) ->
    nats_client_nif:info(Connection).

%% @doc All counts since the connection was made.
-spec counters(connection()) -> counters().
counters(Connection) ->
    nats_client_nif:counters(Connection).

%% @doc Sends a request and waits for its reply, `TimeoutMs' at most.
-spec request(connection(), Subject :: binary(), Payload :: binary(), TimeoutMs :: non_neg_integer()) ->
          result().
request(Connection, Subject, Payload, TimeoutMs) when is_binary(Subject) ->
    ask(Connection, Subject, Payload, TimeoutMs).

%% @doc Sends a message to itself: once it is there, the server has dealt with everything before it.
-spec round_trip(connection(), TimeoutMs :: non_neg_integer()) ->
          ok | {error, reason()} | {rejected, backpressure}.
round_trip(Connection, TimeoutMs) ->
    case ask(Connection, nil, <<>>, TimeoutMs) of
        {ok, <<>>} -> ok;
        Failure -> Failure
    end.

ask(Connection, Subject, Payload, TimeoutMs) ->
    Reference = make_ref(),
    case nats_client_nif:request(Connection, Reference, Subject, Payload) of
        Ticket when is_reference(Ticket) ->
            receive {nats_client, Reference, Result} -> Result
            after TimeoutMs -> give_up(Ticket, Reference)
            end;
        Refused ->
            Refused
    end.

%% A reply that is sent at this very moment is one, and must not stay in the caller's mailbox.
give_up(Ticket, Reference) ->
    case nats_client_nif:give_up(Ticket) of
        true -> {error, timeout};
        false -> receive {nats_client, Reference, Result} -> Result
                 after ?CLOSE_MS -> {error, closed}
                 end
    end.

%% @doc Publishes a message; `ok' says that it is on its way, not that it arrived.
-spec publish(connection(), Subject :: binary(), Payload :: binary()) ->
          ok | {error, reason()} | {rejected, backpressure}.
publish(Connection, Subject, Payload) ->
    nats_client_nif:publish(Connection, Subject, nil, Payload).

%% @doc The same with a subject for replies.
-spec publish(connection(), Subject :: binary(), ReplyTo :: binary(), Payload :: binary()) ->
          ok | {error, reason()} | {rejected, backpressure}.
publish(Connection, Subject, ReplyTo, Payload) when is_binary(ReplyTo) ->
    nats_client_nif:publish(Connection, Subject, ReplyTo, Payload).

%% @doc Subscribes the calling process, which then receives {@type message()}s; the server knows of it when
%% this returns. Of a queue group each message goes to one member. The subscription ends with its owner,
%% with its term and with the connection.
-spec subscribe(connection(), Subject :: binary(),
                #{queue_group => binary(), credit => 1..1000000, timeout_ms => pos_integer()}) ->
          {ok, subscription()} | {error, reason()} | {rejected, backpressure}.
subscribe(Connection, Subject, Options) ->
    Reference = make_ref(),
    Group = maps:get(queue_group, Options, nil),
    case nats_client_nif:subscribe(Connection, Reference, Subject, Group, maps:get(credit, Options, 100)) of
        Handle when is_reference(Handle) ->
            case round_trip(Connection, maps:get(timeout_ms, Options, 5000)) of
                ok ->
                    {ok, {Reference, Handle}};
                Failure ->
                    ok = nats_client_nif:unsubscribe(Handle),
                    Failure
            end;
        {error, Reason} ->
            {error, Reason}
    end.

%% @doc Says that so many messages have been dealt with, which lets as many more come.
-spec acknowledge(subscription(), Messages :: non_neg_integer()) -> ok.
acknowledge({_Reference, Handle}, Messages) ->
    nats_client_nif:acknowledge(Handle, Messages).

%% @doc Ends a subscription; `{nats_subscription_ended, Reference}' is its last message.
-spec unsubscribe(subscription()) -> ok.
unsubscribe({_Reference, Handle}) ->
    nats_client_nif:unsubscribe(Handle).
