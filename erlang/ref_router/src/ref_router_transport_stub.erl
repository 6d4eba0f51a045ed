%% @doc In-process transport that takes every message at once.
-module(ref_router_transport_stub).
-behaviour(ref_router_transport).

-export([deliver/2]).

%% @doc Takes the message and does nothing with it.
-spec deliver(ref_router_config:provider_id(), ref_router:message()) -> ok.
deliver(_Provider, _Message) ->
    ok.
