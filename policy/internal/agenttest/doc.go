// Package agenttest runs agents in a real server for tests. A test sees the
// replies to the client and the messages that the Handler accepted.
package agenttest
