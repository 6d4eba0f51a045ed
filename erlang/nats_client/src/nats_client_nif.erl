%% @doc The native half of the NATS client: async-nats, a thread for each connection.
%%
%% This module holds nothing but the stubs, so that it never needs to be loaded twice. Where it is all the
%% same (deleted, purged, loaded), what was made before is refused with `badarg', and threads of before end
%% with their owners.
%% @private
-module(nats_client_nif).

-export([connect/2, request/4, give_up/1, publish/4, subscribe/5, acknowledge/2, unsubscribe/1,
         drain/3, close/2, info/1, counters/1]).

-export_type([connection/0, ticket/0, subscription/0]).

-on_load(load/0).
-nifs([connect/2, request/4, give_up/1, publish/4, subscribe/5, acknowledge/2, unsubscribe/1,
       drain/3, close/2, info/1, counters/1]).

%% Dialyzer knows that `nif_error' stands for any value; behind a function it would not.
-define(NOT_LOADED, erlang:nif_error({not_loaded, [{module, ?MODULE}]})).

-opaque connection() :: reference().
-type ticket() :: reference().
-type subscription() :: reference().

%% @doc Starts a connection, which ends with its term and with its maker; `{nats_client, Reference, ok}' or
%% `{nats_client, Reference, {error, Reason}}' follows.
-spec connect(map(), reference()) -> connection().
connect(_Options, _Reference) -> ?NOT_LOADED.

%% @doc Sends a request, or without a subject a message to the caller itself. `{nats_client, Reference,
%% Result}' follows a ticket, unless {@link give_up/1} comes first.
-spec request(connection(), reference(), Subject :: binary() | nil, Payload :: binary()) ->
          ticket() | {error, nats_client:reason()} | {rejected, backpressure}.
request(_Connection, _Reference, _Subject, _Payload) -> ?NOT_LOADED.

%% @doc Ends a request; false if its result has been sent already.
-spec give_up(ticket()) -> boolean().
give_up(_Ticket) -> ?NOT_LOADED.

%% @doc Hands a message to the connection.
-spec publish(connection(), Subject :: binary(), ReplyTo :: binary() | nil, Payload :: binary()) ->
          ok | {error, nats_client:reason()} | {rejected, backpressure}.
publish(_Connection, _Subject, _ReplyTo, _Payload) -> ?NOT_LOADED.

%% @doc Subscribes the caller, which is sent at most `Credit' messages that it has not acknowledged. The
%% subscription ends with its term.
-spec subscribe(connection(), reference(), Subject :: binary(), Group :: binary() | nil,
                Credit :: 1..1000000) -> subscription() | {error, nats_client:reason()}.
subscribe(_Connection, _Reference, _Subject, _Group, _Credit) -> ?NOT_LOADED.

%% @doc Says that so many messages have been dealt with.
-spec acknowledge(subscription(), non_neg_integer()) -> ok.
acknowledge(_Subscription, _Messages) -> ?NOT_LOADED.

%% @doc Ends a subscription.
-spec unsubscribe(subscription()) -> ok.
unsubscribe(_Subscription) -> ?NOT_LOADED.

%% @doc Finishes what is under way and closes; a message follows unless it says false.
-spec drain(connection(), reference(), TimeoutMs :: non_neg_integer()) -> boolean().
drain(_Connection, _Reference, _TimeoutMs) -> ?NOT_LOADED.

%% @doc Ends a connection; a message follows unless it says false.
-spec close(connection(), reference()) -> boolean().
close(_Connection, _Reference) -> ?NOT_LOADED.

%% @doc State and server.
-spec info(connection()) -> nats_client:info().
info(_Connection) -> ?NOT_LOADED.

%% @doc All counts.
-spec counters(connection()) -> nats_client:counters().
counters(_Connection) -> ?NOT_LOADED.

-spec load() -> ok | {error, term()}.
load() ->
    Priv = case code:priv_dir(nats_client) of
               {error, bad_name} ->
                   filename:join(filename:dirname(filename:dirname(code:which(?MODULE))), "priv");
               Dir ->
                   Dir
           end,
    erlang:load_nif(filename:join(Priv, "libnats_client_nif"), 0).
