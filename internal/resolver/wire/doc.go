// Package wire converts between DNS messages, with package dns of miekg, and the
// types of package resolver. Only internal code and the code inside functions
// uses package dns: it is not part of our API.
package wire
