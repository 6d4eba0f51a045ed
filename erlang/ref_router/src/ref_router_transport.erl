%% @doc Contract of a transport: how a message reaches a provider.
%%
%% `deliver/2' runs in the process of the caller of `ref_router:route/1'. It answers `ok' when the
%% provider took the message and `{error, Reason}' when it did not: the circuit breaker of the
%% provider hears of it and the next fallback is tried. An exception is a bug of the transport: the
%% breaker hears of it too, and it reaches the caller with its stack trace.
%% @private
-module(ref_router_transport).

-callback deliver(ref_router_config:provider_id(), ref_router:message()) ->
    ok | {error, Reason :: term()}.
