// Package resolver defines how this project looks up names in the DNS: the
// interface [Resolver], the types of its answers and errors, and a [Net], which
// is a Resolver that uses a net.Resolver. The packages policy, routing and those
// of mail authentication export these types under names of their own (type
// aliases), so that one Resolver serves all of them.
package resolver
