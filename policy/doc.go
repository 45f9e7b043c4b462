// Package policy is the judgement of a relay's receive side: whose mail comes
// in, for whom, and what is written on it, between the SMTP engine
// (smtpserver) and the queue.
//
// Each concern is one type whose Agent method yields an smtpserver.Agent:
//
//   - [Relay] decides at RCPT who may reach whom: everybody the recipients of
//     the accepted domains ([Domains]), only named clients all the others.
//   - [Loop] ends loops through this host early.
//   - [Trace] writes the Received field.
//   - [Handover] gives what was accepted to the queue, and 250 to the client
//     when it is safe there.
//
// [Gate] puts them in the usual order for those who want one line.
//
// # Closed by default
//
// Whatever is left out refuses. A zero Relay relays for nobody; a network that
// holds a large part of the internet is an error unless
// DangerouslyRelayForEveryone stands beside it; and Handover takes only
// recipients that a relay policy has admitted, so a server that was given the
// Handover but not the agents refuses all mail, and an agent that ends the
// judging with smtpserver.ErrAccept opens nothing. An agent that wants to
// accept by its own authority says so with [Admit].
//
// # Accepted domains
//
// A [Domain] is authoritative (its Directory knows all recipients, others are
// refused with 550 5.1.1 at RCPT, so that no bounce is ever due), an internal
// relay (those the Directory does not know live on another system), or an
// external relay (all of them do). Names match exactly or as "*.domain", the
// longest match wins. For <postmaster> without a domain there is a default
// domain.
package policy
