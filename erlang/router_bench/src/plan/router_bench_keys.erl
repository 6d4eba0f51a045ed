%% @doc Keys of requests, drawn from a seeded distribution.
%%
%% The key of request N depends on seed and N alone: every run with a seed sends the same keys,
%% however many workers share the work. Needs no table and no process.
-module(router_bench_keys).

-export([new/3, key/2]).

-export_type([keys/0, distribution/0]).

-type distribution() :: uniform | {zipf, Exponent :: number()}.
-opaque keys() :: {uniform, Count :: pos_integer(), Seed :: non_neg_integer()}
                | {zipf, Count :: pos_integer(), Seed :: non_neg_integer(), Exponent :: float(),
                   Low :: float(), High :: float(), Shift :: float()}.

-define(HASH_RANGE, (1 bsl 32)).

%% @doc Keys 1 to `Count'. Under `zipf' key K comes in proportion to 1/K^Exponent.
-spec new(distribution(), Count :: pos_integer(), Seed :: non_neg_integer()) -> keys().
new(uniform, Count, Seed) ->
    {uniform, Count, Seed};
new({zipf, Exponent}, Count, Seed) ->
    S = float(Exponent),
    {zipf, Count, Seed, S, integral(1.5, S) - 1.0, integral(Count + 0.5, S),
     2.0 - inverse(integral(2.5, S) - height(2.0, S), S)}.

%% @doc The key of request `N'.
-spec key(N :: non_neg_integer(), keys()) -> pos_integer().
key(N, {uniform, Count, Seed}) ->
    % The hash has 32 bits, and so has the largest count.
    erlang:phash2({Seed, N}, Count) + 1;
key(N, {zipf, _, _, _, _, _, _} = Zipf) ->
    zipf(N, 0, Zipf).

%% Rejection-inversion: W. Hörmann, G. Derflinger, Rejection-inversion to generate variates from
%% monotone discrete distributions, 1996. Accepts four of five tries and more.
zipf(N, Try, {zipf, Count, Seed, S, Low, High, Shift} = Zipf) ->
    Uniform = erlang:phash2({Seed, N, Try}, ?HASH_RANGE) / ?HASH_RANGE,
    U = High + Uniform * (Low - High),
    X = inverse(U, S),
    K = min(Count, max(1, trunc(X + 0.5))),
    case K - X =< Shift orelse U >= integral(K + 0.5, S) - height(K, S) of
        true -> K;
        false -> zipf(N, Try + 1, Zipf)
    end.

height(X, S) -> math:exp(-S * math:log(X)).

%% The integral of x^-S, and its inverse; by the logarithm where S is 1.
integral(X, 1.0) -> math:log(X);
integral(X, S) -> (math:pow(X, 1.0 - S) - 1.0) / (1.0 - S).

inverse(Y, 1.0) -> math:exp(Y);
inverse(Y, S) -> math:pow(max(0.0, 1.0 + Y * (1.0 - S)), 1.0 / (1.0 - S)).
