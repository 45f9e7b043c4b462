// Package agenttest runs agents in a real server for tests: what a client
// reads, and what the Handler would have taken over.
package agenttest
