%% @doc A policy, compiled for use on the hot path: weights as cumulative integers in a tuple.
%% @private
-module(ref_router_policy).

-export([compile/2, id/1, fallbacks/1, sticky_ttl_ms/1, total_weight/1, pick/2]).
-export_type([policy/0]).

-record(policy, {id :: ref_router_config:policy_id(),
                 total_weight :: pos_integer(),
                 %% {UpTo, Provider, UpTo, Provider, ...}, ascending
                 cumulative :: tuple(),
                 fallbacks :: [ref_router_config:provider_id()],
                 sticky_ttl_ms :: non_neg_integer()}).
-opaque policy() :: #policy{}.

%% @doc Compiles a validated policy.
-spec compile(ref_router_config:policy_id(), ref_router_config:policy()) -> policy().
compile(Id, #{weights := Weights, fallbacks := Fallbacks, sticky_ttl_ms := TtlMs}) ->
    {Steps, Total} = lists:mapfoldl(fun({Provider, Weight}, Below) ->
                                            {[Below + Weight, Provider], Below + Weight}
                                    end, 0, Weights),
    #policy{id = Id, total_weight = Total, cumulative = list_to_tuple(lists:append(Steps)),
            fallbacks = Fallbacks, sticky_ttl_ms = TtlMs}.

%% @doc The id of the policy.
-spec id(policy()) -> ref_router_config:policy_id().
id(#policy{id = Id}) -> Id.

%% @doc The fallbacks, in the order in which they are tried.
-spec fallbacks(policy()) -> [ref_router_config:provider_id()].
fallbacks(#policy{fallbacks = Fallbacks}) -> Fallbacks.

%% @doc How long a session stays with its provider; 0 is never.
-spec sticky_ttl_ms(policy()) -> non_neg_integer().
sticky_ttl_ms(#policy{sticky_ttl_ms = TtlMs}) -> TtlMs.

%% @doc The sum of the weights.
-spec total_weight(policy()) -> pos_integer().
total_weight(#policy{total_weight = Total}) -> Total.

%% @doc The provider at `Point', from 0 to below the total weight: each provider has as many of
%% these points as its weight.
-spec pick(policy(), Point :: non_neg_integer()) -> ref_router_config:provider_id().
pick(#policy{cumulative = Cumulative}, Point) ->
    pick(Cumulative, Point, 1).

pick(Cumulative, Point, At) ->
    case Point < element(At, Cumulative) of
        true -> element(At + 1, Cumulative);
        false -> pick(Cumulative, Point, At + 2)
    end.
