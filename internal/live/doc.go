// Package live knows the live sessions of a part of a relay: it lists them, ends
// them, and shows their dialogue as it happens. smtpserver.Server and
// smtpclient.Transport have one [Registry] each, and routing.Router has a [Group]
// of the registries of its transports. They export the types of this package
// under their own names.
//
// A session costs nothing more than a few stores while it is not looked at: for
// each line of its dialogue, it makes one atomic load. A list of all sessions
// locks each session for the time of a copy.
package live
