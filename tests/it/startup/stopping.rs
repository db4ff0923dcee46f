//! A server ends when it is told to, and drops nobody.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::support::world::{Engine, World, worlds};

#[actix_web::test]
async fn a_server_that_is_told_to_stop_finishes_the_request_under_way() {
    for mut world in worlds().await {
        let who = world.sandbox_client(&["orders:read"]).await;
        let body = format!(
            "grant_type=client_credentials&client_id={}&client_secret={}",
            who.client_id, who.secret
        );
        let (first, rest) = body.split_at(30);
        let mut socket = TcpStream::connect(world.setting("ONYX_LISTEN")).unwrap();
        write!(
            socket,
            "POST /sandbox/oauth2/token HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\n\
             Content-Length: {}\r\nExpect: 100-continue\r\n\r\n",
            body.len()
        )
        .unwrap();
        // The server has the request in hand once it asks for the body.
        let mut go_on = [0; 25];
        socket.read_exact(&mut go_on).unwrap();
        assert_eq!(&go_on, b"HTTP/1.1 100 Continue\r\n\r\n");
        socket.write_all(first.as_bytes()).unwrap();

        world.signal("TERM");
        while !world.log().contains("stopping") {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        socket.write_all(rest.as_bytes()).unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        assert!(answer.contains("access_token"));
        assert_eq!(world.ended(), Some(0));
        assert!(TcpStream::connect(world.setting("ONYX_LISTEN")).is_err());
    }
}

#[actix_web::test]
async fn an_interrupt_ends_a_server_too() {
    let mut world = World::prepare(Engine::Sqlite, &[]);
    world.start().await;
    world.signal("INT");
    assert_eq!(world.ended(), Some(0));
}
